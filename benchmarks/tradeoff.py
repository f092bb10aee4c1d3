"""What accuracy costs: GFLOP, ms per patch, SSIM and DFI error of every built-in generator, trained alike.

``python benchmarks/tradeoff.py --folder DIR`` simulates a study, trains each arm for a few minutes, and prints
the table of docs/generators.md; ``--json benchmarks/results/tradeoff.json --plot docs/pictures/tradeoff.png`` leave a
record. It goes on where it was stopped; ``--arm NAME --train-only`` trains one arm, so that arms can be trained by
several processes at once. ``--experiment FILE`` takes an experiment of your own instead of the simulated study:
`train_arms` and `measure_arm` work with any.

All arms are trained in deploy mode, one network for all stains. The distilled one learns from the arm with the lowest
L1 on the validation donors, and never from the test donors.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skimage.metrics import structural_similarity

from _record import circumstances
from generators import SIDE, count_gflop, count_parameters, export, onnx_runtime, time_runs
from vsframework.atomic import write_text
from vsframework.config import load_experiment
from vsframework.dataset.store import PatchDataset
from vsframework.evaluation import evaluate
from vsframework.evaluation.wording import label
from vsframework.inference import Stainer
from vsframework.pipeline import Run
from vsframework.simulation import SimulationOptions, simulate
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_header
from vsframework.training.distillation import open_teaching

PATCH_PX = 128
STUDY = SimulationOptions(donors=6, fields=16, cells_per_field=5.0, width=1280, height=900)
SPLIT = ('split.test_donors=["donor1", "donor2"]', 'split.validation_donors=["donor3"]')
COMMON = (
    "training.mode=deploy",
    "training.models=joint",
    "training.batch_size=4",
    "training.schedule=cosine",
    "training.checkpoint_every=1000",
    "training.checkpoint_steps=100",
    "training.accelerator=cpu",
    "augmentation.flip=true",
    "augmentation.quarter_turns=true",
)
"""The recipe of every arm: deploy mode, flips and quarter turns, a learning rate that falls along a cosine."""
SMALL = ("training.learning_rate=1e-3", "training.betas=[0.9, 0.999]", "objective.lambda_gan=0")
"""Networks without batch normalisation take larger steps, and no adversary."""
VALIDATIONS = 10
"""About how often an arm is validated."""

Image = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One training: its name, what it changes in the experiment, and whether it learns from the best of the others."""

    name: str
    overrides: tuple[str, ...]
    epochs: int
    distilled: bool = False


def built_in_arms(size: int) -> tuple[Arm, ...]:
    """Give the arms for patches of `size` pixels; pix2pix is as deep as that allows (8 in the paper, at 256 px)."""
    depth = f"generator.depth={min(8, (size & -size).bit_length() - 1)}"
    fast = ("generator.name=fast", *SMALL)
    return (
        Arm(name="pix2pix", overrides=("generator.name=pix2pix", depth), epochs=4),
        Arm(name="pix2pix++", overrides=("generator.name=pix2pix++", depth), epochs=4),
        Arm(name="unet", overrides=("generator.name=unet", *SMALL), epochs=8),
        Arm(name="fast", overrides=fast, epochs=60),
        Arm(name="fast, distilled", overrides=fast, epochs=60, distilled=True),
    )


# ------------------------------------------------------------------------------------------------------- training


def train_arms(
    file: Path, dataset: PatchDataset, arms: Sequence[Arm], folder: Path, recipe: Sequence[str] = COMMON
) -> dict[str, Path]:
    """Train `arms` of the experiment `file`, going on where it was stopped; gives their run folders, below `folder`.

    The teacher of those that are distilled is the best of the others in `folder`, so they must come after these.
    """
    runs: dict[str, Path] = {}
    for arm in arms:
        teacher = best_on_validation(folder, arm) if arm.distilled else None
        runs[arm.name] = train_arm(file, dataset, arm, folder, recipe, teacher)
    return runs


def train_arm(
    file: Path, dataset: PatchDataset, arm: Arm, folder: Path, recipe: Sequence[str], teacher: Path | None
) -> Path:
    """Train one arm; gives its run folder."""
    run = run_folder(folder, arm)
    overrides = [*recipe, *arm.overrides, f"training.epochs={arm.epochs}"]
    overrides.append(f"validation.every={max(1, arm.epochs // VALIDATIONS)}")
    if teacher is not None:
        overrides.append(f"distillation.teacher={json.dumps(str(teacher.resolve()))}")
    experiment = load_experiment(file, overrides)
    train(experiment, dataset, run, teaching=open_teaching(experiment, file.parent))
    return run


def best_on_validation(folder: Path, student: Arm) -> Path:
    """Give the trained run below `folder` with the lowest L1 on the validation donors, that of `student` aside.

    Pixels and not the DFI: after so short a training no arm tells the DFI of a new donor better than a constant.
    """
    finals = [path for path in folder.glob(f"*/checkpoints/{FINAL}") if run_folder(folder, student) not in path.parents]
    if not finals:
        raise SystemExit(f"there is no trained arm in {folder} to learn from yet; train the others first")
    return min((path.parents[2] for path in finals), key=validation_l1)


def validation_l1(run: Path) -> float:
    """Give the mean absolute error per pixel on the validation donors, of the weights that stain."""
    used = int(read_header(run / "checkpoints" / FINAL)["weights_of_epoch"])
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "validation" and int(row["epoch"]) <= used]
    return float(rows[-1]["l1"])


def run_folder(folder: Path, arm: Arm) -> Path:
    """Give the folder of `arm`."""
    return folder / arm.name.replace(", ", "-")


# ------------------------------------------------------------------------------------------------------ measuring


def measure_arm(run: Path, dataset: PatchDataset, donors: Sequence[str], repeats: int, threads: int) -> dict[str, Any]:
    """Measure a trained run: its cost per patch of 256 px, and its stains of `donors`, which it has not seen."""
    stainer = Stainer.load(run)
    true, virtual = stained_cells(stainer, dataset, donors)
    scales = np.array(stainer.normalisation.stain_full_scale, dtype=np.float32)
    return {
        "teacher": Path(stainer.info["teacher"]["run"]).name if "teacher" in stainer.info else None,
        "epochs": stainer.info["weights_of_epoch"],
        "of_epochs": stainer.info["epochs"],
        "validation_l1": validation_l1(run),
        "validation_error": stainer.info["modes"]["deploy_error"],
        **cost(stainer, repeats, threads),
        "ssim": similarities(true, virtual, scales),
        "ssim_of_no_stain": similarities(true, np.zeros_like(true), scales),
        "pearson_of_pixels": [
            float(np.corrcoef(true[:, channel].ravel(), virtual[:, channel].ravel())[0, 1])
            for channel in range(true.shape[1])
        ],
        "quantity": quantity_errors(run, dataset, stainer),
    }


def stained_cells(stainer: Stainer, dataset: PatchDataset, donors: Sequence[str]) -> tuple[Image, Image]:
    """Give the true and the virtual stains [N, C, H, W], counts, of the cells of `donors`."""
    assert dataset.denoised is not None
    rows = dataset.accepted(donors)["patch"].to_numpy()
    true = np.asarray(dataset.denoised.oindex[rows], dtype=np.float32)
    return true, stainer.stain(np.asarray(dataset.brightfield.oindex[rows], dtype=np.float32))


def similarities(true: Image, virtual: Image, scales: Image) -> list[float]:
    """Give the mean SSIM per stain; `scales` are the counts of full range."""
    return [
        float(
            np.mean(
                [
                    structural_similarity(one[channel], other[channel], data_range=float(scale))  # type: ignore[no-untyped-call]
                    for one, other in zip(true, virtual, strict=True)
                ]
            )
        )
        for channel, scale in enumerate(scales)
    ]


def quantity_errors(run: Path, dataset: PatchDataset, stainer: Stainer) -> dict[str, Any]:
    """Give the error of the first quantity (the DFI) on the held-out donors, each counting the same."""
    result = evaluate(dataset, run, stainer).quantities[0]
    rows = [row for row in result.donors if row.held_out]
    return {
        "name": result.name,
        "mae": result.held_out.mae,
        "constant_mae": result.held_out.constant_mae,
        "pearson": float(np.mean([row.virtual.pearson for row in rows])),
        "by_donor": {row.donor: [row.virtual.mae, row.constant_mae] for row in rows},
    }


def cost(stainer: Stainer, repeats: int, threads: int) -> dict[str, float]:
    """Give GFLOP, parameters and ms in ONNX Runtime for one patch of 256 px, all stains."""
    planes = stainer.in_channels
    image = np.random.default_rng(0).uniform(-1, 1, (1, planes, SIDE, SIDE)).astype(np.float32)
    networks = stainer.generators()
    times = [
        time_runs(onnx_runtime(network, export(network, planes), threads), image, repeats)["median_ms"]
        for network in networks
    ]
    return {
        "gflop": sum(count_gflop(network, SIDE, planes) for network in networks),
        "parameters": sum(count_parameters(network) for network in networks),
        "ms": sum(times),
    }


# --------------------------------------------------------------------------------------------------------- record


def show(record: dict[str, Any]) -> None:
    """Print the table of docs/generators.md."""
    stains = record["stains"]
    print(f"| network | GFLOP | ms | epochs | {' | '.join(f'SSIM {stain}' for stain in stains)} | MAE | r |")
    print("|---" * (6 + len(stains)) + "|")
    for row in record["result"]:
        name = f"{row['arm']} (teacher: {row['teacher']})" if row["teacher"] else row["arm"]
        similar = " | ".join(f"{value:.3f}" for value in row["ssim"])
        print(
            f"| {name} | {row['gflop']:.2f} | {row['ms']:.1f} | {row['epochs']} of {row['of_epochs']} | {similar} | "
            f"{row['quantity']['mae']:.4f} | {row['quantity']['pearson']:.2f} |"
        )
    first = record["result"][0]
    print(f"constant: MAE {first['quantity']['constant_mae']:.4f}")
    print(f"no stain at all: SSIM {', '.join(f'{value:.3f}' for value in first['ssim_of_no_stain'])}")


def draw(record: dict[str, Any], path: Path) -> None:
    """Draw cost against both kinds of error."""
    from matplotlib import pyplot

    rows = record["result"]
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    constant = rows[0]["quantity"]["constant_mae"]
    for axis, name in zip(
        axes, ("mean SSIM of the stains", f"MAE of the {label(rows[0]['quantity']['name'])}"), strict=True
    ):
        for row in rows:
            value = float(np.mean(row["ssim"])) if axis is axes[0] else row["quantity"]["mae"]
            axis.plot(row["gflop"], value, "o", color="tab:orange" if row["teacher"] else "tab:blue")
            beside = (5, -11 if row["teacher"] else 4)  # a student lies on a network of its own cost
            axis.annotate(row["arm"], (row["gflop"], value), textcoords="offset points", xytext=beside, fontsize=8)
        axis.set_xscale("log")
        axis.set_xlabel("GFLOP per patch of 256 px, all stains")
        axis.set_ylabel(name)
        axis.margins(x=0.25, y=0.15)
    axes[1].axhline(constant, color="grey", linestyle="--", linewidth=1)
    axes[1].annotate("constant", (0.02, constant), xycoords=("axes fraction", "data"), fontsize=8, va="bottom")
    figure.suptitle(record["title"], fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def prepare(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Simulate the study below `folder`, unless it is there; gives its experiment file and what to change in it."""
    study = folder / "study"
    if not (study / "experiment.toml").is_file():
        simulate(study, STUDY)
    return study / "experiment.toml", (f"patches.size={PATCH_PX}", *SPLIT)


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="study and runs are kept here")
    parser.add_argument("--experiment", type=Path, help="an experiment file with test and validation donors")
    parser.add_argument("--arm", action="append", default=[], help="only this arm (repeatable; default: all)")
    parser.add_argument("--train-only", action="store_true", help="measure nothing")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw it here too")
    parser.add_argument("--repeats", type=int, default=30, help="timed runs per network (default 30)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch and ONNX Runtime (default 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()[0]
    file, changes = (arguments.experiment, ()) if arguments.experiment else prepare(arguments.folder)
    prepared = Run(file, changes)
    prepared.go(until="dataset", tell=lambda line: None)
    dataset = PatchDataset.open(prepared.dataset_path)
    arms = [arm for arm in built_in_arms(dataset.size) if not arguments.arm or arm.name in arguments.arm]
    recipe = (*changes, *COMMON)
    runs = train_arms(file, dataset, arms, arguments.folder, recipe)
    if arguments.train_only:
        return
    split = prepared.experiment.split
    rows = [
        {"arm": name, **measure_arm(run, dataset, split.test_donors, arguments.repeats, arguments.threads)}
        for name, run in runs.items()
    ]
    counts = {
        "trained on": len(dataset.accepted(exclude=split.held_out)),
        "validated on": len(dataset.accepted(split.validation_donors)),
        "tested on": len(dataset.accepted(split.test_donors)),
    }
    record = {
        "benchmark": "tradeoff",
        "title": f"{dataset.size} px, cells " + ", ".join(f"{name} {count}" for name, count in counts.items()),
        "what": f"ms: ONNX Runtime, batch 1, {arguments.threads} threads, median of {arguments.repeats}; recipe: "
        + ", ".join(recipe),
        "arms": {arm.name: {"epochs": arm.epochs, "overrides": list(arm.overrides)} for arm in arms},
        "stains": list(dataset.stains),
        "cells": counts,
        "dataset_hash": dataset.info["hash"],
        **circumstances(("torch", "onnx", "onnxruntime", "numpy"), load),
        "result": rows,
    }
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    if arguments.plot:
        draw(record, arguments.plot)
    show(record)


if __name__ == "__main__":
    main()
