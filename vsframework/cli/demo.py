"""``vsf demo``: the whole path on simulated data, in minutes."""

from __future__ import annotations

from pathlib import Path

import click

SMALL = (
    "patches.size=64",
    "generator.width=16",
    "generator.depth=6",
    "training.batch_size=4",
    'split.calibration_donors=["donor5", "donor6"]',
)
"""What makes the demo fit into minutes on two cores: small patches and a narrow network, else the paper's recipe.

Two of the six donors are not trained on, so that the report has intervals.
"""


@click.command(name="demo")
@click.argument("out", default="demo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--fields", default=6, show_default=True, type=click.IntRange(1, 1000), help="Fields per donor.")
@click.option("--epochs", default=25, show_default=True, type=click.IntRange(1), help="Passes over the patches.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of the simulation.")
def command(out: Path, fields: int, epochs: int, seed: int) -> None:
    """Simulate six donors, train small, and write a report: the whole path in minutes.

    Everything lands in OUT; OUT/demo.toml is its experiment file. The run is also exported as one file for the machine
    beside the microscope, and checked there. Run it again and what is finished is not done twice. The cells are
    simulated and the network is small: the report shows how results are presented, not what virtual staining can do.
    """
    from vsframework.cli.demo_export import export_and_check
    from vsframework.config import load_experiment, write_experiment
    from vsframework.pipeline import Run
    from vsframework.simulation import SimulationOptions, simulate

    click.echo(f"Simulating six donors with {fields} fields each into {out} ...")
    simulate(out, SimulationOptions(donors=6, fields=fields, seed=seed))
    small = (*SMALL, f"training.epochs={epochs}", "name=Demo on simulated cells")
    write_experiment(load_experiment(out / "experiment.toml", small), out / "demo.toml")
    run = Run(out / "demo.toml")
    run.go(tell=click.echo)
    commands = export_and_check(run.path, out)
    click.echo(f"Done. Open the report in a browser: {run.path / 'report.html'}")
    for what, command_line in commands.items():
        click.echo(what)
        click.echo(command_line)
