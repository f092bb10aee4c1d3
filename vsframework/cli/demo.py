"""``vsf demo``: the whole path on simulated data, in minutes."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="demo")
@click.argument("out", default="demo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--fields", default=10, show_default=True, type=click.IntRange(1, 1000), help="Fields per donor.")
@click.option("--epochs", default=None, type=click.IntRange(1), help="Passes over the patches [a few minutes' worth].")
@click.option("--seed", default=1, show_default=True, help="Of the simulation and the training.")
def command(out: Path, fields: int, epochs: int | None, seed: int) -> None:
    """Simulate six donors, train small, and write a report.

    Everything lands in OUT. Run it again and what is finished is not done twice.
    """
    from vsframework.pipeline import Run
    from vsframework.simulation import SimulationOptions, simulate

    click.echo(f"Simulating six donors with {fields} fields each into {out} (these are not real cells) ...")
    simulate(out, SimulationOptions(donors=6, fields=fields, seed=seed))
