"""``vsf dataset``: build a dataset, say what is in it, draw it, weigh its background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsframework.cli.options import echo_json, experiment_argument, json_option, override_option, workers_options

if TYPE_CHECKING:
    from vsframework.dataset import PatchDataset
    from vsframework.fanout import Workers


@click.group(name="dataset")
def command() -> None:
    """Turn raw fields into aligned, denoised patches."""


@command.command()
@experiment_argument
@override_option
@click.option("--force", is_flag=True, help="Build again even if it is up to date.")
@click.option(
    "--check", is_flag=True, help="Build nothing: say what would be paired, what is missing, what looks wrong."
)
@workers_options
@json_option
def build(
    experiment: Path, overrides: tuple[str, ...], force: bool, check: bool, workers: Workers, as_json: bool
) -> None:
    """Build the dataset of an experiment into its run folder.

    A build that was stopped goes on where it was. A bad field costs one row of the table. --check looks at every image
    first and exits with 1 if nothing could be built.
    """
    if check:
        from vsframework.cli.dataset_check import check_study_of

        check_study_of(experiment, overrides, as_json)
        return
    from vsframework.dataset import PatchDataset
    from vsframework.pipeline import Run

    run = Run(experiment, overrides, workers)
    run.go("dataset", force, (lambda _: None) if as_json else click.echo)
    _describe(PatchDataset.open(run.dataset_path), as_json)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
def info(folder: Path, as_json: bool) -> None:
    """Say what a dataset holds: cells per donor, and why cells were rejected. FOLDER is a dataset or a run."""
    _describe(open_dataset(folder), as_json)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="PNG to write [FOLDER/montage.png].")
@click.option("--count", default=24, show_default=True, type=click.IntRange(1, 400), help="How many cells.")
@click.option("--seed", default=0, show_default=True, help="Which cells are drawn.")
def montage(folder: Path, out: Path | None, count: int, seed: int) -> None:
    """Draw cells of a dataset side by side. FOLDER is a dataset or a run."""
    from vsframework.dataset.montage import write_montage

    path = write_montage(open_dataset(folder), out or folder / "montage.png", count, seed)
    click.echo(f"Montage: {path}")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="DENOISER",
    help="Compare with this denoiser (repeatable) [all that are installed].",
)
@click.option(
    "--csv",
    "csv_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write background_cells.csv and background_levels.csv into this folder.",
)
@json_option
def background(folder: Path, rules: tuple[str, ...], csv_folder: Path | None, as_json: bool) -> None:
    """Weigh the background of every cell: its level by each denoiser, how sure it is, what a count does to the DFI.

    FOLDER is a dataset or a run. The first denoiser is the one that made the dataset.
    """
    from vsframework.dataset.background import background_ledger

    ledger = background_ledger(open_dataset(folder), rules)
    if csv_folder:
        ledger.write(csv_folder)
    if as_json:
        echo_json(ledger.tables())
        return
    summary, stains = ledger.summary(), ledger.stains
    click.echo(f"{summary['cells']} cells; medians, levels in counts")
    click.echo(f"{'denoiser':<26}" + "".join(f"{stain:>10}" for stain in stains) + f"{ledger.quantity:>10}")
    for rule, levels in summary["median_level"].items():
        mark = " (used)" if rule == ledger.used else ""
        value = _decimals(summary["median_value"][rule], 10, 4)
        click.echo(f"{rule + mark:<26}" + "".join(_decimals(levels[stain], 10, 3) for stain in stains) + value)
    for what, label in (("standard_error", "standard error"), ("spread", "spread between rules")):
        values = (summary["median"][f"{what}_{stain}"] for stain in stains)
        click.echo(f"{label:<26}" + "".join(_decimals(value, 10, 3) for value in values))
    values = (summary["median"][f"per_count_{stain}"] for stain in stains)
    click.echo(f"{ledger.quantity + ' per count':<26}" + "".join(_decimals(value, 10, 4) for value in values))
    click.echo(
        f"{ledger.quantity}: standard error from the background"
        f"{_decimals(summary['median']['uncertainty'], 8, 4)}, between the denoisers"
        f"{_decimals(summary['median_range_between_rules'], 8, 4)}"
    )
    for rule, count in summary["refused"].items():
        click.echo(f"{rule} gave no level for {count} cells; --json says why")
    if csv_folder:
        click.echo(f"Tables: {csv_folder / 'background_cells.csv'} and background_levels.csv")


def _decimals(value: float | None, width: int, places: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{places}f}"


def open_dataset(folder: Path) -> PatchDataset:
    """Open the dataset in `folder`, or the one of the run in `folder`."""
    from vsframework.dataset import PatchDataset

    inside = folder / "dataset"
    return PatchDataset.open(inside if (inside / "dataset.json").exists() else folder)


def _describe(dataset: PatchDataset, as_json: bool) -> None:
    cells, main = dataset.cells, dataset.quantities[0]
    accepted = dataset.accepted()
    donors: list[dict[str, Any]] = [
        {
            "donor": donor,
            "cells": len(group),
            "accepted": int(group["accepted"].sum()),
            "median": float(accepted.loc[accepted["donor"] == donor, main.name].median()),
        }
        for donor, group in cells.groupby("donor")
    ]
    reasons = cells.loc[~cells["accepted"], "reason"].value_counts()
    if as_json:
        summary = {
            "path": str(dataset.path),
            "simulated": bool(dataset.info.get("simulated")),
            "hash": dataset.info["hash"],
            "stains": dataset.stains,
            "size": dataset.size,
            "bit_depth": dataset.bit_depth,
            "quantity": main.name,
            "donors": [{**row, "median": None if row["median"] != row["median"] else row["median"]} for row in donors],
            "rejected": {str(reason): int(count) for reason, count in reasons.items()},
        }
        echo_json(summary)
        return
    kind = "simulated" if dataset.info.get("simulated") else "not simulated"
    click.echo(
        f"{dataset.path}: {len(accepted)} patches of {dataset.size}x{dataset.size} px, {dataset.bit_depth} bit, {kind}"
    )
    click.echo(f"stains: {', '.join(dataset.stains)}; measured: {', '.join(item.name for item in dataset.quantities)}")
    click.echo(f"{'donor':<12}{'cells':>8}{'accepted':>10}  {'median ' + main.name:>14}")
    for row in donors:
        click.echo(f"{row['donor']:<12}{row['cells']:>8}{row['accepted']:>10}  {row['median']:>14.4g}")
    for reason, count in reasons.head(10).items():
        click.echo(f"rejected {count}: {reason}")
