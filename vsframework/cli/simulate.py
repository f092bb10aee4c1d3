"""``vsf simulate``: acridine-orange fields with known truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vsframework.cli.options import echo_json, json_option
from vsframework.simulation.options import SimulationOptions


def _simulation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option per field of SimulationOptions, which also checks the values."""
    for name, field in reversed(SimulationOptions.model_fields.items()):
        extra = field.json_schema_extra
        unit = f" [{extra['unit']}]" if isinstance(extra, dict) and "unit" in extra else ""
        command = click.option(
            f"--{name.replace('_', '-')}",
            default=field.default,
            show_default=True,
            type=float if isinstance(field.default, float) else int,
            help=f"{field.description}{unit}",
        )(command)
    return command


@click.command(name="simulate")
@click.argument("out", type=click.Path(path_type=Path))
@_simulation_options
@json_option
def command(out: Path, as_json: bool, **values: Any) -> None:
    """Simulate acridine-orange fields with known truth.

    They go into the folder OUT. The truth is in OUT/truth.csv, one row per cell; OUT/experiment.toml is ready for
    'vsf run'. The same options give the same pixels. After an interruption the same command goes on where it stopped.
    """
    from pydantic import ValidationError

    from vsframework.components import describe_problem
    from vsframework.errors import UsageError
    from vsframework.simulation import simulate

    try:
        options = SimulationOptions(**values)
    except ValidationError as error:
        problems = "; ".join(describe_problem(problem, SimulationOptions) for problem in error.errors())
        raise UsageError(f"simulate: {problems.replace('_', '-')}") from error
    simulate(out, options)
    truth = json.loads((out / "truth.json").read_text(encoding="utf-8"))
    if as_json:
        echo_json({"path": str(out), **truth})
        return
    constant = truth["constant_mae_mean_of_donors"]
    click.echo(
        f"Simulated {truth['cells']} cells of {options.donors} donors in {options.donors * options.fields} fields into "
        f"{out} (these are not real cells). DFI {truth['dfi']['mean']:.3f} +- {truth['dfi']['sd']:.3f}; the best "
        f"prediction from morphology errs by {truth['best_mae_mean_of_donors']:.4f} on average"
        + (f", a constant by {constant:.4f}" if constant is not None else "")
        + f". Next: vsf run {out / 'experiment.toml'}"
    )
