"""``vsf train``: the generators of an experiment."""

from __future__ import annotations

from pathlib import Path

import click

from vsframework.cli.options import experiment_argument, override_option


@click.command(name="train")
@experiment_argument
@override_option
def command(experiment: Path, overrides: tuple[str, ...]) -> None:
    """Train the generators of an experiment.

    EXPERIMENT is a TOML file whose dataset has been built (vsf dataset build). Checkpoints, metrics.csv and TensorBoard
    events go to its run folder. Stop it whenever you like; the same command goes on from the newest checkpoint.
    """
    from vsframework.config import load_experiment
    from vsframework.dataset.store import PatchDataset
    from vsframework.training import train

    loaded = load_experiment(experiment, overrides)
    run = experiment.parent / loaded.output
    train(loaded, PatchDataset.open(run / "dataset"), run)
    click.echo(f"Trained: {run}")
