"""``vsf report``: the report of a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to write it; without it, report.html in the run."
)
def command(run: Path, output: Path | None) -> None:
    """Write the report of a run as one HTML file.

    RUN is an evaluated run folder. The file needs nothing else: it can be mailed, printed and read on a phone.
    """
    from vsframework.evaluation.report import write_report
    from vsframework.progress import working

    with working("Drawing the report"):
        path = write_report(run, output)
    click.echo(str(path))
