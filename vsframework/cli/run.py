"""``vsf run``: all stages of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsframework.cli.options import echo_json, experiment_argument, json_option, override_option, workers_options

if TYPE_CHECKING:
    from vsframework.fanout import Workers

STAGES = ("dataset", "train", "calibrate", "evaluate", "report")


@click.command(name="run")
@experiment_argument
@override_option
@click.option("--until", type=click.Choice(STAGES), default="report", show_default=True, help="Last stage to run.")
@click.option("--force", is_flag=True, help="Run every stage again; training starts from the beginning.")
@workers_options
@json_option
def command(
    experiment: Path, overrides: tuple[str, ...], until: str, force: bool, workers: Workers, as_json: bool
) -> None:
    """Run all stages of an experiment, skipping what is already there.

    EXPERIMENT is a TOML file. A stage runs again when its inputs, its part of the experiment or the software changed.
    --workers and --scheduler share the building of the dataset.
    """
    from vsframework.pipeline import Run

    run = Run(experiment, overrides, workers)
    stages: list[str] = []
    run.go(until, force, stages.append if as_json else click.echo)
    report = run.path / "report.html"
    if as_json:
        echo_json({"run": str(run.path), "stages": stages, "report": str(report) if report.exists() else None})
    elif until == "report":
        click.echo(f"Report: {report}")
