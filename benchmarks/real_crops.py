"""DFI of real cells from brightfield alone: six donors held out in turn, with and without labelled cells of the donor.

``python benchmarks/real_crops.py --folder PATH --json benchmarks/results/real_crops.json --pictures docs/pictures``
prints the tables of docs/real-data.md. It needs ``../shared/data/mccallum2019_crops``, takes about two minutes on one
quiet thread (with ``--beside small-cnn`` several more), and goes on where it was stopped. Everything that is learnt for
a donor (regressor, calibration, intervals) is learnt from the other five; what calibration and intervals learn from are
predictions for each of those five by a regressor that had seen neither it nor the donor in question.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from _real_crops import build_crops
from _real_crops_pictures import draw
from _record import circumstances
from vsframework.atomic import atomic_path, write_text
from vsframework.dataset.store import PatchDataset
from vsframework.evaluation.baselines import donor_constants
from vsframework.evaluation.donor_calibration import (
    DonorCalibration,
    donor_quantiles,
    draw_labelled,
    error_quantiles,
)
from vsframework.evaluation.metrics import agreement, skill
from vsframework.evaluation.selection import selection
from vsframework.interfaces import FloatArray
from vsframework.plugins import registry
from vsframework.progress import track

REGRESSOR = "head-descriptors"
LABELLED = (5, 10, 20)
DRAWS = 200
"""Of the labelled cells of a donor; errors are averaged over them."""
LEVEL = 0.9
CHOOSE_FROM = (5, 10, 20, 50)
SEED = 0


class Study:
    """The crops, and the predictions of regressors that were fitted without some of the donors."""

    def __init__(self, dataset: PatchDataset, folder: Path, options: dict[str, Any] | None = None) -> None:
        cells = dataset.accepted().reset_index(drop=True)
        self.donor = cells["donor"].to_numpy(str)
        self.dfi = cells["dfi"].to_numpy(float)
        self.brightfield = np.asarray(dataset.brightfield[:], dtype=np.float32)[cells["patch"].to_numpy(int)]
        self.donors = sorted(set(self.donor.tolist()))
        self._folder = folder
        self._options = options or {}

    def predicted(self, name: str, held_out: Sequence[str], of: str) -> FloatArray:
        """Predict the cells of donor `of` with regressor `name` fitted without the donors `held_out`."""
        path = self._folder / name / f"without-{'-'.join(held_out)}.csv"
        if not path.exists():
            left = np.isin(self.donor, held_out)
            regressor = registry().create("regressor", name, self._options.get(name, {}))
            fitted = regressor.fit(self.brightfield[~left], self.dfi[~left], self.donor[~left].tolist(), SEED)
            table = pd.DataFrame({"cell": np.flatnonzero(left), "dfi": fitted.predict(self.brightfield[left])})
            with atomic_path(path) as temporary:
                table.to_csv(temporary, index=False)
        table = pd.read_csv(path)
        own: FloatArray = table["dfi"].to_numpy(float)[self.donor[table["cell"].to_numpy(int)] == of]
        return own

    def of(self, donor: str) -> FloatArray:
        """Measured DFI of the cells of `donor`."""
        measured: FloatArray = self.dfi[self.donor == donor]
        return measured

    def training(self, name: str, donor: str) -> tuple[list[str], FloatArray, FloatArray]:
        """Donor, measured and predicted DFI of the cells of all others, each predicted without itself and `donor`."""
        others = [other for other in self.donors if other != donor]
        found = [self.predicted(name, sorted((donor, other)), other) for other in others]
        names = [other for other in others for _ in self.of(other)]
        return names, np.concatenate([self.of(other) for other in others]), np.concatenate(found)


def alone(study: Study, name: str, donor: str) -> dict[str, Any]:
    """Compare the predictions for `donor` as they come, cell by cell."""
    measured, found = study.of(donor), study.predicted(name, [donor], donor)
    return compared(measured, found)


def compared(measured: FloatArray, found: FloatArray) -> dict[str, Any]:
    agreed = agreement(measured, found)
    return {
        "mae": agreed.mae,
        "bias": agreed.bias,
        "pearson": agreed.pearson,
        "spearman": float(spearmanr(measured, found).statistic) if np.ptp(found) else float("nan"),
    }


def nested(study: Study, name: str, donor: str) -> dict[str, dict[str, Any]]:
    """Judge regressor `name` on `donor`: alone, with its unlabelled cells, and with k labelled ones."""
    measured, found = study.of(donor), study.predicted(name, [donor], donor)
    names, seen, out_of_fold = study.training(name, donor)
    rest = {other: (seen - out_of_fold)[np.array(names) == other] for other in set(names)}
    low, high = donor_quantiles(rest, LEVEL)
    row = alone(study, name, donor)
    row |= {"coverage": covered(measured - found, low, high), "width": high - low}
    rows = {"k=0, each cell alone": row}
    nothing = np.zeros(len(seen))
    for labelled in (0, *LABELLED):
        title = f"k={labelled}" if labelled else "k=0, unlabelled cells"
        rows[title] = with_labels(measured, found, (names, seen, out_of_fold), labelled)
        blind = with_labels(measured, np.zeros(len(found)), (names, seen, nothing), labelled)
        rows[title]["labels_only_mae"] = blind["mae"]
    return rows


def with_labels(
    measured: FloatArray, found: FloatArray, training: tuple[list[str], FloatArray, FloatArray], labelled: int
) -> dict[str, Any]:
    """Calibrate with `labelled` cells, drawn many times; those cells never count in the error."""
    calibration = DonorCalibration.learn(*training)
    low, high = error_quantiles(*training, labelled=labelled, level=LEVEL, seed=SEED)
    random = np.random.default_rng(SEED)
    draws = []
    for _ in range(DRAWS if labelled else 1):
        chosen, judged = draw_labelled(len(measured), labelled, random)
        calibrated = calibration.apply(found, chosen, measured[chosen])
        row = compared(measured[judged], calibrated[judged])
        draws.append({**row, "coverage": covered((measured - calibrated)[judged], low, high)})
    row = {key: fmean(draw[key] for draw in draws) for key in draws[0]}
    return {**row, "width": high - low, "calibration": calibration.model_dump()}


def covered(errors: FloatArray, low: float, high: float) -> float:
    return float(np.mean((low <= errors) & (errors <= high)))


def constants(study: Study, donor: str) -> dict[str, float]:
    """MAE of what needs no image: the pooled median, the median of donors' medians, and the donor's own median."""
    measured = study.of(donor)
    pooled = donor_constants(study.donor.tolist(), study.dfi)[donor]
    alike = float(np.median([np.median(study.of(other)) for other in study.donors if other != donor]))
    values = {"constant": pooled, "constant_donors_alike": alike, "own_median": float(np.median(measured))}
    return {name: float(np.abs(measured - value).mean()) for name, value in values.items()}


def speed(study: Study, name: str) -> float:
    """Milliseconds of processor time to predict one cell at a time, by a regressor fitted to a few cells."""
    few = slice(0, None, 20)
    regressor = registry().create("regressor", name)
    fitted = regressor.fit(study.brightfield[few], study.dfi[few], study.donor[few].tolist(), SEED)
    times = []
    for index in range(60):
        unseen = study.brightfield[index : index + 1] + np.float32(0.5)  # descriptors of seen patches are remembered
        start = time.process_time()
        fitted.predict(unseen)
        times.append(1000 * (time.process_time() - start))
    return median(times[10:])


def measure(folder: Path, name: str = REGRESSOR, beside: Sequence[str] = ()) -> dict[str, Any]:
    """Fit what is not there yet, and give the record."""
    load = os.getloadavg()[0]
    study = Study(build_crops(folder), folder / "predictions")
    pairs = list(combinations(study.donors, 2))
    for left in track([*((donor,) for donor in study.donors), *pairs], "Fitting without one and two donors"):
        study.predicted(name, left, left[0])
    donors = []
    for donor in study.donors:
        row: dict[str, Any] = {"donor": donor, "cells": len(study.of(donor)), **constants(study, donor)}
        row["regressors"] = {other: alone(study, other, donor) for other in beside}
        row["nested"] = nested(study, name, donor)
        donors.append(row)
    found = np.empty(len(study.dfi))
    for donor in study.donors:
        found[study.donor == donor] = study.predicted(name, [donor], donor)
    picked = selection(study.donor.tolist(), study.dfi, found, CHOOSE_FROM)
    return {
        "benchmark": "real_crops",
        "what": f"{len(study.dfi)} real cells of {len(study.donors)} donors, held out in turn; {name}, seed {SEED}; "
        f"{DRAWS} draws of the labelled cells; intervals of {LEVEL:.0%}; {torch.get_num_threads()} thread",
        **circumstances(("torch", "numpy", "scipy", "opencv-python-headless"), load),
        "regressor": name,
        "ms_per_cell": speed(study, name),
        "donors": donors,
        "selection": [row.model_dump() for row in picked],
    }


def show(record: dict[str, Any]) -> str:
    """Write the tables of docs/real-data.md."""
    rows = record["donors"]
    regressor, beside = record["regressor"], list(rows[0]["regressors"])
    names = [row["donor"] for row in rows]

    def line(title: str, values: list[float], form: str) -> str:
        return f"| {title} | {' | '.join(form.format(value) for value in [*values, fmean(values)])} |"

    head = f"| | {' | '.join(names)} | mean |\n|{'---|' * (len(names) + 2)}"
    tables = ["MAE", head, line("constant", [row["constant"] for row in rows], "{:.4f}")]
    tables.append(line("constant, donors counted alike", [row["constant_donors_alike"] for row in rows], "{:.4f}"))
    tables += [line(name, [row["regressors"][name]["mae"] for row in rows], "{:.4f}") for name in beside]
    titles = list(rows[0]["nested"])
    tables += [
        line(f"{regressor}, {title}", [row["nested"][title]["mae"] for row in rows], "{:.4f}") for title in titles
    ]
    for title in titles[2:]:
        tables.append(line(f"no image, {title}", [row["nested"][title]["labels_only_mae"] for row in rows], "{:.4f}"))
    tables.append(line("the donor's own median (not knowable)", [row["own_median"] for row in rows], "{:.4f}"))
    for key, form in (("bias", "{:+.4f}"), ("coverage", "{:.2f}"), ("width", "{:.3f}")):
        tables += ["", key, head]
        tables += [line(title, [row["nested"][title][key] for row in rows], form) for title in titles]
    tables += ["", "skill against the constant", head]
    for title in titles:
        tables.append(line(title, [skill(row["nested"][title]["mae"], row["constant"]) for row in rows], "{:+.2f}"))
    for key in ("pearson", "spearman"):
        tables += ["", key, head]
        tables += [line(name, [row["regressors"][name][key] for row in rows], "{:.2f}") for name in beside]
        tables.append(line(regressor, [row["nested"][titles[0]][key] for row in rows], "{:.2f}"))
    tables += ["", "percentile of the picked cell", f"| best of n | {' | '.join(names)} | mean | interval | perfect |"]
    tables.append(f"|{'---|' * (len(names) + 4)}")
    for row in record["selection"]:
        own = " | ".join(f"{row['donors'][name]:.0f}" for name in names)
        interval = f"{row['low']:.0f} to {row['high']:.0f}"
        tables.append(
            f"| {row['choose_from']} | {own} | {row['percentile']:.1f} | {interval} | {row['best_possible']:.1f} |"
        )
    return "\n".join([*tables, "", f"{record['ms_per_cell']:.1f} ms of processor time per cell"])


def main() -> None:
    """Print the tables, draw the plots and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw the plots of docs/real-data.md into it")
    parser.add_argument("--folder", type=Path, help="keep dataset and predictions here (default: a temporary folder)")
    parser.add_argument("--regressor", default=REGRESSOR, metavar="NAME", help=f"default: {REGRESSOR}")
    parser.add_argument(
        "--beside",
        nargs="*",
        default=(),
        metavar="NAME",
        help="other regressors, each cell alone, for example small-cnn",
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        record = measure(arguments.folder or Path(temporary), arguments.regressor, arguments.beside)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    if arguments.pictures:
        draw(record, arguments.pictures)
    print(show(record))


if __name__ == "__main__":
    main()
