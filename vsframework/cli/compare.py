"""``vsf compare``: which of several runs is better, and whether the donors can tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsframework.cli.columns import aligned
from vsframework.cli.options import json_option

if TYPE_CHECKING:
    from vsframework.evaluation.comparing import Comparison


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metric", type=click.Choice(["mae", "mape"]), default="mae", show_default=True, help="What to compare.")
@click.option("--quantity", help="Which quantity (default: the first run's value of interest).")
@click.option("--baselines", is_flag=True, help="Also compare with the first run's constant and direct regressor.")
@click.option(
    "--csv", "table", type=click.Path(path_type=Path, dir_okay=False), help="Write pairs and tests to a file."
)
@json_option
def command(
    runs: tuple[Path, ...], metric: str, quantity: str | None, baselines: bool, table: Path | None, as_json: bool
) -> None:
    """Compare runs over the donors that none of them was trained on.

    RUNS are evaluated run folders (or cross-validations), compared on the held-out cells that they share. Or it is one
    CSV table with the columns method, donor and mae or mape: the rows of a published table. Every pair gets Student's
    unpaired t test (the paper's), the paired t test and Wilcoxon's, each corrected by Holm for the number of pairs, and
    a bootstrap interval clustered by donor.
    """
    from vsframework.atomic import write_text
    from vsframework.evaluation.compared_errors import compare_runs, compare_table

    if len(runs) == 1 and runs[0].suffix.lower() == ".csv":
        found = compare_table(runs[0], metric)
    else:
        found = compare_runs(runs, metric, quantity, baselines)
    if table is not None:
        write_text(table, found.pair_table().to_csv(index=False, float_format="%.9g", lineterminator="\n"))
    click.echo(found.model_dump_json(indent=2) if as_json else describe(found))


def describe(found: Comparison) -> str:
    """Write a comparison for the terminal: the donor table, then a row per pair with the p values of every test."""
    from vsframework.evaluation.wording import label, number, p_value, with_unit

    unit = "1" if found.metric == "mape" else found.unit
    what = with_unit(found.quantity, unit) if found.metric == "mae" else label(found.quantity)
    title = f"{found.metric.upper()} per donor" + (f" of the {what}" if found.quantity else "")
    rows = [["donor", *(method.name for method in found.methods)]]
    for at, donor in enumerate(found.donors):
        rows.append([donor, *(number(method.errors[at], unit) for method in found.methods)])
    rows.append(["mean", *(number(method.mean, unit) for method in found.methods)])
    rows.append(["S.D.", *(number(method.sd, unit) for method in found.methods)])
    names = [outcome.test for outcome in found.pairs[0].tests]
    pairs = [["first", "second", "gain of second", "95 % interval", *names]]
    for pair in found.pairs:
        interval = pair.interval
        reach = f"{number(interval.gain_low, unit)} to {number(interval.gain_high, unit)}" if interval else "-"
        values = [f"{p_value(outcome.p)} ({p_value(outcome.p_holm)})" for outcome in pair.tests]
        pairs.append([pair.first, pair.second, number(pair.gain, unit), reach, *values])
    explained = (
        "p of each test, in brackets corrected by Holm for the number of pairs. The unpaired test (the paper's) "
        "ignores that the donors are the same; the paired ones use it."
    )
    notes = [f"Note: {sentence}" for sentence in found.notes]
    return "\n".join([title, "", aligned(rows, left=1), "", aligned(pairs, left=2), "", explained, *notes])
