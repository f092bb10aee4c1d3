"""Virtual staining of the real crops: trained on simulated pixels and the real cells' sums, donors held out in turn.

``python benchmarks/real_crops_staining.py --folder PATH --json benchmarks/results/real_crops_staining.json`` simulates
a study, builds the crops of McCallum et al. 2019 (``../shared/data/mccallum2019_crops``) as weak targets, trains one
joint network per held-out donor, and prints the second table of docs/real-data.md. It goes on where it was stopped; a
donor takes about five minutes on one thread, and the record holds those that are done. The real cells have no
fluorescence images, so pixels come from simulated cells alone.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from _real_crops import CROP_PX, build_crops
from _record import circumstances
from vsframework.atomic import write_text
from vsframework.config import load_experiment
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.evaluation.baselines import donor_constants
from vsframework.evaluation.metrics import agreement, skill
from vsframework.evaluation.selection import selection
from vsframework.inference import Stainer
from vsframework.interfaces import FloatArray
from vsframework.pipeline import Run
from vsframework.simulation import SimulationOptions, simulate
from vsframework.training import train

SIZE = 64
STUDY = SimulationOptions(donors=4, fields=8, width=1280, height=900)
RECIPE = (
    f"patches.size={SIZE}",
    "denoiser.name=mccallum-histogram",  # the rule by which the real sums were measured
    "split.test_donors=[]",
    "generator.name=fast",
    "training.models=joint",
    "training.batch_size=8",
    "training.learning_rate=1e-3",
    "training.schedule=cosine",
    "training.checkpoint_every=10",
    "training.accelerator=cpu",
    "objective.lambda_gan=0",
    "objective.lambda_quantity=90",  # as strong as L1, see docs/training.md
    'objective.quantities=["dfi", "dsDNA_sum", "ssDNA_sum"]',
    "weak.share=2",
    f"weak.crop_px={CROP_PX}",
)
"""Fixed before any donor was held out: nothing here was tuned on the crops."""


def prepare(folder: Path) -> tuple[PatchDataset, PatchDataset]:
    """Build the simulated study and the real crops, both of the same patch size."""
    simulate(folder / "study", STUDY)
    simulated = Run(folder / "study" / "experiment.toml", RECIPE[:3])
    simulated.go(until="dataset", tell=lambda line: None)
    return PatchDataset.open(simulated.dataset_path), build_crops(folder, SIZE)


def without(crops: PatchDataset, donor: str, path: Path) -> PatchDataset:
    """Copy `crops` without the cells of `donor`."""
    if path.exists():
        return PatchDataset.open(path)
    with PatchWriter(path, stains=crops.stains, size=crops.size, has_stains=False) as writer:
        for row in crops.accepted(donors=[name for name in crops.donors if name != donor]).to_dict("records"):
            patch = Patch(brightfield=np.asarray(crops.brightfield[int(row["patch"])], dtype=np.float32))
            writer.add({str(key): value for key, value in row.items()}, patch)
        return writer.finish({}, crops.quantities, crops.bit_depth)


def stain_donor(folder: Path, simulated: PatchDataset, crops: PatchDataset, donor: str, epochs: int) -> FloatArray:
    """Train with `donor` held out, and give the virtual DFI of its cells in the order of the table."""
    weak = without(crops, donor, folder / f"weak-without-{donor}")
    experiment = load_experiment(
        folder / "study" / "experiment.toml",
        (*RECIPE, f"training.epochs={epochs}", f"weak.dataset={json.dumps(str(weak.path))}"),
    )
    run = folder / f"without-{donor}-epochs{epochs}"
    train(experiment, simulated, run, weak)
    stainer = Stainer.load(run)
    rows = crops.accepted(donors=[donor])["patch"].to_numpy(int)
    brightfield = np.stack([np.asarray(crops.brightfield[int(row)], dtype=np.float32) for row in rows])
    measured = stainer.quantifier.measure(stainer.stain(brightfield), stainer.stains)
    found: FloatArray = np.asarray(measured["dfi"], dtype=np.float64)
    return found


def donor_row(cells: pd.DataFrame, donor: str, constant: float) -> dict[str, Any]:
    """Compare the cells of `donor`; those that got no stain at all have no DFI and are counted, not hidden."""
    own = cells[cells["donor"] == donor]
    stained = own[np.isfinite(own["virtual"])]
    found = agreement(stained["dfi"].to_numpy(float), stained["virtual"].to_numpy(float))
    constant_mae = float((own["dfi"] - constant).abs().mean())
    return {
        "donor": donor,
        "cells": len(own),
        "without_dfi": len(own) - len(stained),
        "mae": found.mae,
        "constant_mae": constant_mae,
        "skill": skill(found.mae, constant_mae),
        "bias": found.bias,
        "pearson": found.pearson,
        "spearman": float(spearmanr(stained["dfi"], stained["virtual"]).statistic),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train for each donor asked for, and summarise those that are done."""
    load = os.getloadavg()[0]
    simulated, crops = prepare(arguments.folder)
    cells = crops.accepted().reset_index(drop=True)
    cells["virtual"] = np.nan
    constants = donor_constants(cells["donor"].tolist(), cells["dfi"].to_numpy(float))
    rows = []
    for donor in arguments.donors or crops.donors:
        cells.loc[cells["donor"] == donor, "virtual"] = stain_donor(
            arguments.folder, simulated, crops, donor, arguments.epochs
        )
        rows.append(donor_row(cells, donor, constants[donor]))
        print(show([rows[-1]]), flush=True)
    done = cells[np.isfinite(cells["virtual"])]
    picked = selection(done["donor"].tolist(), done["dfi"].to_numpy(float), done["virtual"].to_numpy(float))
    return {
        "benchmark": "real_crops_staining",
        "what": f"{len(simulated.accepted())} simulated cells with images and the real cells' DFI and sums; "
        f"{arguments.epochs} epochs, {torch.get_num_threads()} thread; {', '.join(RECIPE)}",
        **circumstances(("torch", "numpy"), load),
        "donors": rows,
        "selection": [row.model_dump() for row in picked],
    }


def show(rows: list[dict[str, Any]]) -> str:
    """Write the rows of the table of docs/real-data.md."""
    return "\n".join(
        f"| {row['donor']} | {row['cells']} | {row['mae']:.4f} | {row['constant_mae']:.4f} | {row['skill']:+.2f} | "
        f"{row['bias']:+.4f} | {row['pearson']:.2f} | {row['spearman']:.2f} |"
        for row in rows
    )


def main() -> None:
    """Print a table, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--folder", type=Path, required=True, help="study, datasets and runs are kept here")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the simulated patches (default 30)")
    parser.add_argument("--donors", nargs="+", help="hold out only these (default: each in turn)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| held-out donor | cells | MAE | constant | skill | bias | Pearson | Spearman |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    record = measure(arguments)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
