"""``vsf dataset build --check``: what a study would give, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsframework.cli.options import echo_json
from vsframework.errors import VsfError

if TYPE_CHECKING:
    from vsframework.dataset.checked import StudyCheck

SHOWN = 20


def check_study_of(file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check the study of an experiment file and print what was found.

    Raises
    ------
    UsageError
        When no field is found.
    VsfError
        When nothing could be built.
    """
    from vsframework.dataset.checking import check_study
    from vsframework.pipeline import Run

    run = Run(file, overrides)
    study = check_study(run.experiment, run.folder)
    if as_json:
        echo_json(study.record())
    else:
        _tell(study)
    if not study.buildable:
        raise VsfError(f"none of the {len(study.fields)} {study.kind} could be built; every problem is listed above")


def _tell(study: StudyCheck) -> None:
    donors = list(dict.fromkeys(item.donor for item in study.fields))
    fields = study.kind == "fields"  # the crops of a study without fields are counted in the first column
    crops = f"{'crops':>8}" if fields else ""
    click.echo(f"{'donor':<20}{study.kind:>8}{'good':>8}{crops}  channels of the first")
    for donor in donors:
        found = [item for item in study.fields if item.donor == donor]
        good = sum(not item.problems for item in found)
        crops = f"{sum(item.crops for item in found):>8}" if fields else ""
        pairs = ", ".join(f"{name}: {path}" for name, path in found[0].files.items())
        click.echo(f"{donor:<20}{len(found):>8}{good:>8}{crops}  {pairs}")
    problems = [f"{item.id}: {problem}" for item in study.fields for problem in item.problems]
    suspicions = [f"{item.id}: {suspicion}" for item in study.fields for suspicion in item.suspicions]
    _list("Cannot be built", problems)
    _list("Look at", [*study.suspicions, *suspicions])
    _list("Not used", list(study.unused))
    click.echo(f"{len(study.buildable)} of {len(study.fields)} {study.kind} can be built")


def _list(title: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"{title}:")
    for line in lines[:SHOWN]:
        click.echo(f"  {line}")
    if len(lines) > SHOWN:
        click.echo(f"  and {len(lines) - SHOWN} more (--json lists all)")
