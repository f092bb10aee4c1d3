"""How many planted faults the gates catch, how many good cells they turn away, and what the intervals hold.

Three parts: ``simulated`` (limits learnt on simulated donors, judged on planted faults and clean cells of others),
``real`` (the crops of McCallum et al. 2019, each donor judged by limits from the others) and ``coverage`` (intervals
of a stand-in predictor with a bias from donor to donor, on new donors). Run ``python benchmarks/abstention.py`` for
tables, with ``--json PATH`` for a record, with ``--markdown`` for the table in docs/trust.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from _record import circumstances
from vsf_edge.gates.measure import measure_together
from vsf_edge.plugins import plugins
from vsframework.atomic import write_text
from vsframework.config import TrustSection
from vsframework.images import read_image
from vsframework.simulation import SimulationOptions
from vsframework.simulation.faults import FAULTS, plant_fault
from vsframework.simulation.study import simulate_study_field
from vsframework.trust.calibrating import gate_table
from vsframework.trust.conformal import conformal_quantile
from vsframework.trust.judging import Verdicts, build_gate, judge_values
from vsframework.trust.learning import breaks_fixed, learn
from vsframework.trust.table import GateTable

SIDE, BATCH = 256, 10
REQUIRED = ("defocus", "saturated", "other-cell", "empty", "wrong-modality", "inverted")
"""At least 95 % of these are to be caught at no more than 5 % false alarms; the other kinds are told beside them."""

CROPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "mccallum2019_crops"

Images = list[npt.NDArray[np.generic]]
Values = npt.NDArray[np.float64]
SETTINGS = TrustSection()
GATES = [build_gate(selection) for selection in SETTINGS.gates]


def measure(crops: Sequence[npt.NDArray[np.generic]], full_scale: float = 255.0) -> list[Values]:
    """Measure crops with every gate, at the size of the paper's patches."""
    found: list[list[Values]] = [[] for _ in GATES]
    for crop in crops:
        patch = cv2.resize(crop.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        for gate, values in zip(GATES, found, strict=True):
            values.append(gate.measure(patch[None, None], full_scale))
    return [np.concatenate(values) for values in found]


def tables_of(values: Sequence[Values], donors: Sequence[str]) -> tuple[tuple[GateTable, ...], Any]:
    """Learn the limits from cells of training donors."""
    learnt = learn(GATES, values, donors, SETTINGS.false_alarms)
    usual = zip(SETTINGS.gates, GATES, learnt.usual, strict=True)
    return tuple(gate_table(*item, learnt.reach) for item in usual), learnt


def simulated(training: int, judged: int, fields: int, seed: int) -> dict[str, Any]:
    """Learn on up to `training` donors, judge `judged` others: clean cells, and every fault planted in each of them."""
    options = SimulationOptions(
        donors=training + judged, fields=fields, width=640, height=480, cells_per_field=3, seed=seed
    )
    crops: Images = []
    donors: list[int] = []
    clean: Images = []
    others: Images = []
    planted: dict[str, Images] = {kind: [] for kind in FAULTS}
    for donor in range(training + judged):
        for number in range(fields):
            field = simulate_study_field(options, donor, number)
            if donor < training:
                crops += field.crops
                donors += [donor] * len(field.crops)
                continue
            for cell, (crop, truth) in enumerate(zip(field.crops, field.cells, strict=True)):
                if truth.overlapping or leaves_field(truth.crop, options):
                    others.append(crop)
                    continue
                clean.append(crop)
                for kind, images in planted.items():
                    images.append(plant_fault(kind, field, cell, seed=1000 * donor + number).image)
    looked_at = {"clean": measure(clean), "others": measure(others), **{k: measure(v) for k, v in planted.items()}}
    values, of_donor = measure(crops), np.array(donors)
    rows = []
    for count in sorted({4, 8, training}):
        taught = of_donor < count
        tables, learnt = tables_of([found[taught] for found in values], [str(donor) for donor in of_donor[taught]])
        verdicts = {name: judge_values(tables, found, len(found[0])) for name, found in looked_at.items()}
        faults = {kind: caught(verdicts[kind]) for kind in FAULTS}
        required = [faults[kind]["caught"] for kind in REQUIRED]
        alarms = float((~verdicts["clean"].answered).mean())
        rows.append(
            {
                "training": {"donors": count, "fields": count * fields, "cells": learnt.cells, "reach": learnt.reach},
                "clean": {"donors": judged, "cells": len(clean), "false_alarms": alarms},
                "overlapping_or_outside": {
                    "cells": len(others),
                    "turned_away": float((~verdicts["others"].answered).mean()),
                },
                "planted": faults,
                "required_caught": float(np.mean(required)),
                "least_caught": float(min(required)),
                "holds": bool(np.mean(required) >= 0.95 and alarms <= 0.05),
            }
        )
    return {**rows[-1], "fewer_donors": rows[:-1]}


def leaves_field(crop: npt.NDArray[np.float64], options: SimulationOptions) -> bool:
    """Whether a corner of a crop of 150 px, cut with the homography `crop`, lies outside its field."""
    corners = np.linalg.inv(crop) @ np.array([[0, 149, 0, 149], [0, 0, 149, 149], [1, 1, 1, 1]])
    x, y = corners[:2] / corners[2]
    return bool(x.min() < 0 or y.min() < 0 or x.max() > options.width - 1 or y.max() > options.height - 1)


def caught(verdicts: Verdicts) -> dict[str, Any]:
    """Count what was turned away, and by which gate."""
    by = {selection.name: float(share) for selection, share in zip(SETTINGS.gates, gate_shares(verdicts), strict=True)}
    return {"images": len(verdicts.answered), "caught": float((~verdicts.answered).mean()), "by": by}


def gate_shares(verdicts: Verdicts) -> Values:
    """Give the share of cells that each gate turned away."""
    shares: Values = (verdicts.scores > 1).mean(axis=0)
    return shares


def real() -> dict[str, Any]:
    """Judge the real crops: who has a black border, and each donor by limits learnt from the five others."""
    files = sorted(CROPS.glob("*.jpg"))
    donors = np.array([file.name.split("_")[1] for file in files])
    values = measure([read_image(file).pixels[0] for file in files])
    border = GATES[[selection.name for selection in SETTINGS.gates].index("black-borders")]
    black = breaks_fixed(border, values[[selection.name for selection in SETTINGS.gates].index("black-borders")])
    rows = {}
    for donor in sorted(set(donors.tolist())):
        own = donors == donor
        tables, learnt = tables_of([found[~own] for found in values], donors[~own].tolist())
        verdicts = judge_values(tables, [found[own] for found in values], int(own.sum()))
        rest = ~black[own]
        rows[donor] = {
            "cells": int(own.sum()),
            "black_border": int(black[own].sum()),
            "black_border_abstained": int((~verdicts.answered[~rest]).sum()),
            "others_abstained": float((~verdicts.answered[rest]).mean()),
            "by": dict(
                zip(
                    [selection.name for selection in SETTINGS.gates],
                    (verdicts.scores[rest] > 1).mean(axis=0).tolist(),
                    strict=True,
                )
            ),
            "reach": learnt.reach,
        }
    others = [row["others_abstained"] * (row["cells"] - row["black_border"]) for row in rows.values()]
    return {
        "crops": len(files),
        "black_border": int(black.sum()),
        "black_border_in_index": 117,
        "others_abstained": sum(others) / int((~black).sum()),
        "mean_over_donors": float(np.mean([row["others_abstained"] for row in rows.values()])),
        "donors": rows,
    }


def coverage(repeats: int, cells: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Calibrate on K donors and count what holds on further cells of the same donors, and on a new one.

    The stand-in predictor errs by a bias per donor (S.D. 0.022) plus a spread per cell (S.D. 0.02): the size of what a
    small CNN does on the six real donors (data/INDEX.md).
    """
    rng = np.random.default_rng(seed)
    rows = []
    for count in (1, 2, 3, 5, 9, 20):
        for exchangeable in ("cells", "donors"):
            same, new, none = [], [], 0
            for _ in range(repeats):
                bias = rng.normal(0, 0.022, count + 1)
                errors = np.abs(bias[:, None] + rng.normal(0, 0.02, (count + 1, 2 * cells)))
                names = [str(donor) for donor in range(count) for _ in range(cells)]
                quantile = conformal_quantile(errors[:count, :cells].ravel(), names, 0.9, exchangeable)
                if quantile is None:
                    none += 1
                    continue
                same.append((errors[:count, cells:] <= quantile).mean())
                new.append((errors[count] <= quantile).mean())
            worst = np.quantile(new, 0.1) if new else np.nan
            rows.append(
                {
                    "calibration_donors": count,
                    "exchangeable": exchangeable,
                    "no_interval": none / repeats,
                    "same_donors": float(np.mean(same)) if same else None,
                    "new_donor": float(np.mean(new)) if new else None,
                    "new_donor_worst_tenth": float(worst) if new else None,
                }
            )
    return rows


def milliseconds() -> float:
    """Processor time of all gates per cell, one thread, as the edge asks them: ten patches at once, median of 50."""
    patches = np.random.default_rng(0).uniform(80, 160, (BATCH, 1, SIDE, SIDE)).astype(np.float32)
    gates = [plugins().find("gate", selection.name).create() for selection in SETTINGS.gates]
    times = []
    for _ in range(50):
        start = time.process_time()
        measure_together(gates, patches, 255.0)
        times.append(1000 * (time.process_time() - start) / BATCH)
    return float(np.median(times))


def record(arguments: argparse.Namespace) -> dict[str, Any]:
    """Give the record of all parts."""
    load = os.getloadavg()[0]
    result = {
        "benchmark": "abstention",
        "what": f"gates at {SETTINGS.false_alarms:.0%} false alarms over all of them, patches of {SIDE} px",
        "milliseconds_per_cell": milliseconds(),
        "simulated": simulated(arguments.training, arguments.judged, arguments.fields, arguments.seed),
        "real": real() if CROPS.is_dir() else "the real crops (../shared/data) are not on this machine",
        "coverage": coverage(arguments.repeats),
    }
    return {**result, **circumstances(("numpy", "opencv-python-headless"), load)}


def markdown(found: dict[str, Any]) -> str:
    """Write the tables of docs/trust.md."""
    simulation, lines = found["simulated"], ["| planted fault | caught | by (share of images) |", "|---|---|---|"]
    for kind, item in simulation["planted"].items():
        by = ", ".join(f"{name} {share:.2f}" for name, share in item["by"].items() if share >= 0.05)
        lines.append(f"| {kind}{'' if kind in REQUIRED else ' *'} | {item['caught']:.1%} of {item['images']} | {by} |")
    clean, others = simulation["clean"], simulation["overlapping_or_outside"]
    lines.append(f"| none: clean cells | {clean['false_alarms']:.1%} of {clean['cells']} | |")
    lines.append(f"| none, but overlapping or cut by the field | {others['turned_away']:.1%} of {others['cells']} | |")
    lines += [
        "",
        "| training donors | fields | cells | clean cells turned away | required faults caught (worst kind) |",
    ]
    lines.append("|---|---|---|---|---|")
    for row in [*simulation["fewer_donors"], simulation]:
        taught = row["training"]
        lines.append(
            f"| {taught['donors']} | {taught['fields']} | {taught['cells']} | {row['clean']['false_alarms']:.1%} | "
            f"{row['required_caught']:.1%} ({row['least_caught']:.1%}) |"
        )
    if isinstance(found["real"], dict):
        lines += [
            "",
            "| real donor | cells | black border | of those abstained | others abstained |",
            "|---|---|---|---|---|",
        ]
        for donor, row in found["real"]["donors"].items():
            lines.append(
                f"| {donor} | {row['cells']} | {row['black_border']} | {row['black_border_abstained']} | "
                f"{row['others_abstained']:.1%} |"
            )
    lines += [
        "",
        "| calibration donors | exchangeable | more cells of these donors | a new donor, mean | its worst tenth |",
        "|---|---|---|---|---|",
    ]
    for row in found["coverage"]:
        if row["same_donors"] is None:
            lines.append(f"| {row['calibration_donors']} | {row['exchangeable']} | no interval can be given | | |")
            continue
        lines.append(
            f"| {row['calibration_donors']} | {row['exchangeable']} | {row['same_donors']:.1%} | "
            f"{row['new_donor']:.1%} | {row['new_donor_worst_tenth']:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the tables, or write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here as well")
    parser.add_argument("--training", type=int, default=12, help="simulated donors to learn from (default 12)")
    parser.add_argument("--judged", type=int, default=8, help="simulated donors to judge (default 8)")
    parser.add_argument("--fields", type=int, default=5, help="fields per donor (default 5)")
    parser.add_argument("--repeats", type=int, default=300, help="draws of donors for the coverage (default 300)")
    parser.add_argument("--seed", type=int, default=177, help="of the simulation (default 177)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = record(arguments)
    if arguments.json:
        write_text(arguments.json, json.dumps(found, indent=2) + "\n")
    print(markdown(found))
    print(f"\nall gates: {found['milliseconds_per_cell']:.2f} ms a cell; holds: {found['simulated']['holds']}")


if __name__ == "__main__":
    main()
