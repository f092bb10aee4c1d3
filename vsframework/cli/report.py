"""``vsf report``: the report of a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to write it; without it, report.html in the run."
)
@click.option(
    "--beside",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Another evaluated run to compare with, donor by donor; may be given several times.",
)
def command(run: Path, output: Path | None, beside: tuple[Path, ...]) -> None:
    """Write the report of a run as one HTML file.

    RUN is an evaluated run folder or a cross-validation. The file needs nothing else: it can be mailed, printed and
    read on a phone. Everything in it is in RUN/evaluation as CSV and JSON too.
    """
    from vsframework.evaluation.report import write_report
    from vsframework.progress import working

    with working("Drawing the report"):
        path = write_report(run, output, beside)
    click.echo(str(path))
