"""``vsf train``: the generators of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsframework.cli.options import echo_json, experiment_argument, json_option, override_option

if TYPE_CHECKING:
    from vsframework.training.plan import TrainingPlan


@click.command(name="train")
@experiment_argument
@override_option
@click.option("--dry-run", is_flag=True, help="Only print networks, memory and time; nothing is trained or written.")
@json_option
def command(experiment: Path, overrides: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Train the generators of an experiment.

    EXPERIMENT is a TOML file whose dataset has been built (vsf dataset build). Checkpoints, metrics.csv and TensorBoard
    events go to its run folder. Stop it whenever you like; the same command goes on from the newest checkpoint.

    Networks are trained in the paper's mode (batch statistics, dropout) unless training.mode is deploy, and always
    measured in deploy mode, which has one answer per patch; at the end the error of the measured quantity is told both
    as trained and as measured.
    """
    from vsframework.config import load_experiment
    from vsframework.dataset.store import PatchDataset
    from vsframework.training import train
    from vsframework.training.checkpoints import FINAL, read_header
    from vsframework.training.data import open_weak_dataset
    from vsframework.training.distillation import open_teaching

    loaded = load_experiment(experiment, overrides)
    run = experiment.parent / loaded.output
    dataset = PatchDataset.open(run / "dataset")
    teaching = open_teaching(loaded, experiment.parent)
    if dry_run:
        from vsframework.training.plan import plan_training

        plan = plan_training(loaded, dataset, teaching)
        if as_json:
            echo_json(plan.as_json())
        else:
            _show(plan)
        return
    if not as_json:
        from vsframework.training.plan import mode_in_words

        click.echo(f"Mode: {mode_in_words(loaded.training)}")
    train(loaded, dataset, run, open_weak_dataset(loaded, experiment.parent), teaching)
    header = read_header(run / "checkpoints" / FINAL)
    if as_json:
        names = ("trained_epochs", "stopped_early", "weights_of_epoch", "modes")
        echo_json({"run": str(run), **{name: header.get(name) for name in names}})
        return
    click.echo(f"Trained: {run}")
    if header.get("modes"):
        click.echo(_modes(header["modes"]))


def _modes(modes: Mapping[str, Any]) -> str:
    """Say which mode was trained, and what measuring in the other costs."""
    deploy, trained = modes["deploy_error"], modes["trained_error"]
    where = f"on {modes['cells']} cells of {modes['of']} the mean absolute error of {modes['quantity']} is {deploy:.4f}"
    cost = f"{where}, against {trained:.4f} as trained; the switch costs {deploy - trained:+.4f}."
    if modes["trained"] == "deploy":
        return f"Trained in deploy mode (no dropout, statistics held), the form that is measured: {cost}"
    how = "statistics of the batch, dropout" if modes["switched"] else "but no layer draws or looks at the batch"
    told = f"Trained in paper mode ({how}), measured in deploy mode: {cost}"
    if modes["normalised_by_image"]:
        told += (
            " Its layers normalise each image by itself, so a cell's stain depends on what else is in its tile; "
            'training.mode = "deploy" ends that.'
        )
    return told


def _show(plan: TrainingPlan) -> None:
    click.echo(f"mode         {plan.mode}")
    for network in plan.networks:
        click.echo(f"{network.model + ' ' + network.role:28} {network.parameters:>13,} parameters")
    where = "streamed from disk" if plan.streamed else "in memory"
    days, hours = divmod(plan.hours, 24)
    click.echo(
        f"patches      {plan.patches} to train on ({plan.data_gib:.2f} GiB, {where}), "
        f"{plan.validation_patches} to validate on"
    )
    click.echo(
        f"memory       {plan.state_gib:.2f} GiB weights and optimisers, {plan.activations_gib:.2f} GiB activations"
    )
    click.echo(f"checkpoints  {plan.checkpoint_gib:.2f} GiB each, two are kept")
    click.echo(f"device       {plan.device}, {plan.precision}")
    click.echo(
        f"time         {plan.seconds_per_step:.3f} s per step, {plan.steps:,} steps: "
        + (f"{days:.0f} days and " if days else "")
        + f"{hours:.1f} hours, plus validation and checkpoints"
    )
