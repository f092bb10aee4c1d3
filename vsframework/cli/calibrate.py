"""``vsf calibrate``: gates and intervals of a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsframework.cli.options import json_option

if TYPE_CHECKING:
    from vsframework.trust import Trust


@click.command("calibrate")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--device", default="cpu", show_default=True, help="Of torch: cpu, cuda, cuda:1, mps.")
@json_option
def command(run: Path, device: str, as_json: bool) -> None:
    """Learn when a trained run can be trusted: gates, intervals, abstention.

    RUN is a run folder. The limits of the gates come from the cells trained on, the intervals from the donors in
    split.calibration_donors; both go to trust.json in the run folder, and whoever measures with the run applies them.
    vsf run does this between training and evaluation.
    """
    from vsframework.evaluation.runs import dataset_path, require_run

    require_run(run)
    from vsframework.dataset.store import PatchDataset
    from vsframework.inference import Stainer
    from vsframework.trust import calibrate

    trust = calibrate(PatchDataset.open(dataset_path(run)), run, Stainer.load(run, device=device))
    click.echo(trust.model_dump_json(indent=2) if as_json else "\n".join(describe(trust)))


def describe(trust: Trust) -> list[str]:
    """Say what was learnt, in a few lines."""
    gates, intervals = trust.gates, trust.intervals
    lines = [
        f"Gates: {', '.join(table.name for table in gates.table) or 'none'}, learnt from {gates.cells} cells of "
        f"{', '.join(gates.donors)} for {gates.false_alarms:.0%} false alarms."
    ]
    if gates.out_of_bounds:
        lines.append(f"{gates.out_of_bounds} cells trained on lie outside a fixed limit and were left out.")
    if intervals.missing:
        return [*lines, f"Intervals: none, because {intervals.missing}."]
    for quantity in trust.quantities:
        interval = quantity.interval
        if interval is None or interval.quantile is None:
            lines.append(
                f"{quantity.name}: no interval, because {', '.join(intervals.donors)} give too few cells or donors to "
                f"promise {intervals.coverage:.0%}."
            )
            continue
        held = ", ".join(f"{donor} {share:.0%}" for donor, share in interval.across_donors.items())
        others = f"; calibrated on the other donors only: {held}" if held else ""
        lines.append(
            f"{quantity.name}: {intervals.coverage:.0%} intervals from {interval.cells} cells of "
            f"{', '.join(intervals.donors)}{others}."
        )
    return lines
