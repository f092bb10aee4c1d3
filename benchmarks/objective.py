"""What quantity consistency and weak targets buy: the DFI error of donors never trained on, with and without them.

``python benchmarks/objective.py`` simulates a study, holds out each of its donors in turn, trains with L1 alone and
with L1 + quantity consistency for every seed, and prints the tables of docs/training.md; ``--json
benchmarks/results/objective.json`` leaves a record. All arms see the same patches in the same order from the same
initial weights; only ``lambda_quantity`` differs. With ``--weak`` only one donor has images as well, and the others are
left out, or trained on by their DFI alone. With ``--folder`` it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.config import load_experiment
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.evaluation import evaluate
from vsframework.inference import Stainer
from vsframework.pipeline import Run
from vsframework.progress import track
from vsframework.simulation import SimulationOptions, simulate
from vsframework.training import train

PATCH = "patches.size=64"
RECIPE = (
    PATCH,
    "generator.name=fast",
    "training.models=joint",
    "training.batch_size=4",
    "training.learning_rate=1e-3",
    "training.checkpoint_every=1000",
    "training.accelerator=cpu",
    "objective.lambda_gan=0",
)
"""A small network that trains in a minute; no adversary, so that the arms differ in one term."""
COLUMNS = ("mae", "constant_mae", "bias", "pearson", "trained_on_mae")


def one_run(
    study: Path, dataset: PatchDataset, folder: Path, donor: str, seed: int, weight: float, epochs: int
) -> dict[str, Any]:
    """Train with `donor` held out, and measure its cells."""
    overrides = (
        *RECIPE,
        f'split.test_donors=["{donor}"]',
        f"training.seed={seed}",
        f"training.epochs={epochs}",
        f"objective.lambda_quantity={weight}",
    )
    run = folder / f"{donor}-seed{seed}-quantity{weight:g}"
    experiment = load_experiment(study / "experiment.toml", overrides)
    train(experiment, dataset, run)
    rows = evaluate(dataset, run, Stainer.load(run)).quantities[0].donors
    held_out = next(row for row in rows if row.held_out)
    return {
        "donor": donor,
        "seed": seed,
        "lambda_quantity": weight,
        "cells": held_out.virtual.cells,
        "mae": held_out.virtual.mae,
        "constant_mae": held_out.constant_mae,
        "skill": held_out.skill,
        "bias": held_out.virtual.bias,
        "pearson": held_out.virtual.pearson,
        "trained_on_mae": fmean(row.virtual.mae for row in rows if not row.held_out),
    }


def weak_run(
    study: Path, dataset: PatchDataset, folder: Path, donor: str, seed: int, with_values: bool, arguments: Any
) -> dict[str, Any]:
    """Train on the images of one donor, with or without the DFI of the others; measure the cells of `donor`."""
    others = [name for name in dataset.donors if name != donor]
    shown = others[dataset.donors.index(donor) % len(others)]
    without_images = [name for name in others if name != shown]
    kind = "values" if with_values else "left-out"
    weak = label_only(dataset, without_images, folder / f"labels-{donor}") if with_values else None
    overrides = (
        *RECIPE,
        f"split.test_donors={json.dumps([donor, *without_images])}",
        f"training.seed={seed}",
        f"training.epochs={arguments.epochs * len(others)}",  # as many steps as with the images of all
        f"objective.lambda_quantity={arguments.weights[0]}",
        *([f'weak.dataset="{weak.path}"', "weak.share=1"] if weak else ()),
    )
    run = folder / f"{donor}-seed{seed}-{kind}"
    train(load_experiment(study / "experiment.toml", overrides), dataset, run, weak)
    rows = evaluate(dataset, run, Stainer.load(run)).quantities[0].donors
    found = next(row.virtual for row in rows if row.donor == donor)
    return {
        "donor": donor,
        "images_of": shown,
        "seed": seed,
        "others": kind,
        "mae": found.mae,
        "bias": found.bias,
        "pearson": found.pearson,
    }


def label_only(dataset: PatchDataset, donors: list[str], path: Path) -> PatchDataset:
    """Write the cells of `donors` without their images: brightfield and measured values."""
    with PatchWriter(path, stains=dataset.stains, size=dataset.size, has_stains=False) as writer:
        for row in dataset.accepted(donors=donors).to_dict("records"):
            patch = Patch(brightfield=np.asarray(dataset.brightfield[int(row["patch"])], dtype=np.float32))
            values = {str(key): value for key, value in row.items()}
            writer.add({**values, "donor": f"{row['donor']} without images"}, patch)
        return writer.finish({}, dataset.quantities, dataset.bit_depth)


def averages(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Average over the held-out donors, each counting the same."""
    mean = {name: fmean(row[name] for row in rows) for name in COLUMNS}
    return {**mean, "skill": 1 - mean["mae"] / mean["constant_mae"]}


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Do all runs, and summarise them per arm and seed."""
    study = folder / "study"
    options = SimulationOptions.model_validate(
        {"donors": arguments.donors, "fields": arguments.fields, "width": 1280, "height": 900}
    )
    simulate(study, options)
    prepared = Run(study / "experiment.toml", (PATCH,))
    prepared.go(until="dataset", tell=lambda line: None)
    dataset = PatchDataset.open(prepared.dataset_path)
    weights = (0.0, *arguments.weights)
    held_out = dataset.donors[: arguments.held_out]
    turns = [(donor, seed) for seed in range(arguments.seeds) for donor in held_out]
    load = os.getloadavg()[0]
    runs = [
        one_run(study, dataset, folder / f"epochs{arguments.epochs}", donor, seed, weight, arguments.epochs)
        for donor, seed, weight in track([(*turn, weight) for turn in turns for weight in weights], "Training")
    ]
    weak_runs = [
        weak_run(study, dataset, folder / f"weak-epochs{arguments.epochs}", donor, seed, with_values, arguments)
        for donor, seed in track(turns if arguments.weak else [], "Training on values")
        for with_values in (False, True)
    ]
    arms = []
    for weight in weights:
        for seed in range(arguments.seeds):
            rows = [run for run in runs if run["seed"] == seed and run["lambda_quantity"] == weight]
            arms.append({"lambda_quantity": weight, "seed": seed, **averages(rows)})
    return {
        "benchmark": "objective",
        "what": f"{len(dataset.accepted())} simulated cells of {arguments.donors} donors; held out in turn: "
        f"{', '.join(held_out)}; {arguments.epochs} epochs, {torch.get_num_threads()} thread; {', '.join(RECIPE)}",
        "dataset_hash": dataset.info["hash"],
        **circumstances(("torch", "numpy"), load),
        "result": arms,
        "runs": runs,
        "weak_runs": weak_runs,
    }


def show(record: dict[str, Any]) -> None:
    """Print the table of docs/training.md."""
    print("| lambda_quantity | seed | MAE | skill | bias | r | MAE on donors trained on |")
    print("|---|---|---|---|---|---|---|")
    for row in record["result"]:
        print(
            f"| {row['lambda_quantity']:g} | {row['seed']} | {row['mae']:.4f} | {row['skill']:+.2f} | "
            f"{row['bias']:+.4f} | {row['pearson']:.2f} | {row['trained_on_mae']:.4f} |"
        )
    print(f"constant: MAE {record['result'][0]['constant_mae']:.4f}")
    print()
    print("| lambda_quantity | MAE with the term minus without | better in |")
    print("|---|---|---|")
    for weight in sorted({run["lambda_quantity"] for run in record["runs"]} - {0.0}):
        pairs = differences(record, weight)
        better = sum(pair < 0 for pair in pairs)
        spread = f" (S.D. {stdev(pairs):.4f})" if len(pairs) > 1 else ""
        print(f"| {weight:g} | {fmean(pairs):+.4f}{spread} | {better} of {len(pairs)} |")
    if record["weak_runs"]:
        print()
        print("| other donors | seed | MAE | bias | r |")
        print("|---|---|---|---|---|")
    for kind in ("left-out", "values"):
        for seed in sorted({run["seed"] for run in record["weak_runs"]}):
            rows = [run for run in record["weak_runs"] if run["others"] == kind and run["seed"] == seed]
            mae, bias, pearson = (fmean(row[name] for row in rows) for name in ("mae", "bias", "pearson"))
            print(f"| {kind} | {seed} | {mae:.4f} | {bias:+.4f} | {pearson:.2f} |")


def differences(record: dict[str, Any], weight: float) -> list[float]:
    """MAE with the term minus without, per held-out donor and seed."""
    found = {(run["donor"], run["seed"], run["lambda_quantity"]): run["mae"] for run in record["runs"]}
    return [mae - found[donor, seed, 0.0] for (donor, seed, of), mae in found.items() if of == weight]


def main() -> None:
    """Print a table, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--folder", type=Path, help="keep study and runs here (default: a temporary folder)")
    parser.add_argument("--donors", type=int, default=4, help="simulated donors (default 4)")
    parser.add_argument("--fields", type=int, default=5, help="fields per donor (default 5)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds per arm and donor (default 3)")
    parser.add_argument("--epochs", type=int, default=50, help="passes over the patches (default 50)")
    parser.add_argument(
        "--weights", type=float, nargs="+", default=[30.0, 100.0], help="lambda_quantity per arm (default 30 100)"
    )
    parser.add_argument("--held-out", type=int, help="hold out only the first so many donors (default: all)")
    parser.add_argument("--weak", action="store_true", help="also with images of one donor only")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        record = measure(arguments.folder or Path(temporary), arguments)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    show(record)


if __name__ == "__main__":
    main()
