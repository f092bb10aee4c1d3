"""``vsf quantify``: stains on disk to named values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsframework.cli.options import echo_json, json_option, workers_options

if TYPE_CHECKING:
    from vsframework.fanout import Workers
    from vsframework.trust.answers import Answer


@click.command(name="quantify")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--quantifier", default="dfi", show_default=True, help="What measures the stains.")
@click.option("--denoiser", help="Removes the background first (raw fluorescence needs one, virtual stains do not).")
@click.option(
    "--stains",
    default="",
    metavar="NAME,NAME",
    help="Channels to use, reference first. Default: all but brightfield.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV to write; without it, to the terminal."
)
@workers_options
@json_option
def command(
    images: tuple[Path, ...],
    quantifier: str,
    denoiser: str | None,
    stains: str,
    out: Path | None,
    workers: Workers,
    as_json: bool,
) -> None:
    """Measure stains on disk: named values per image.

    IMAGES are stained OME-TIFFs, or raw fluorescence patches with named channels. A bad image costs one sentence and
    exit code 1; the others are measured. Where vsf stain left an answer beside an image (NAME.trust.json), a cell that
    is not to be answered gets no number but the reason, and the others get their interval.
    """
    import csv
    import io

    from vsframework.atomic import write_text
    from vsframework.errors import UsageError, VsfError
    from vsframework.fanout import fan_out
    from vsframework.plugins import registry
    from vsframework.trust.measuring import MeasureRequest, measure_image

    measure = registry().create("quantifier", quantifier)
    names = tuple(name.strip() for name in stains.split(",") if name.strip())
    request = MeasureRequest(quantifier=quantifier, denoiser=denoiser, stains=names)
    if not workers.here:  # another process may stand in another folder
        images = tuple(image.absolute() for image in images)
    found: dict[int, dict[str, float]] = {}
    failed: dict[str, str] = {}
    answers: dict[str, Answer] = {}
    for outcome in fan_out(partial(measure_image, request), images, workers, "Measuring"):
        if isinstance(outcome.error, UsageError):
            raise outcome.error  # the request is wrong for every image
        if outcome.value is None:
            failed[str(images[outcome.index])] = outcome.reason
            continue
        found[outcome.index], answer = outcome.value
        if answer:
            answers[str(images[outcome.index])] = answer
    measured = {str(images[index]): found[index] for index in sorted(found)}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    quantities = [quantity.name for quantity in measure.quantities]
    writer.writerow(["image", *quantities, *(trust_columns(quantities) if answers else ())])
    for path, values in measured.items():
        numbers = [f"{values[name]:.9g}" for name in quantities]
        if path in answers:
            numbers = answered_row(answers[path], quantities, values)
        writer.writerow([path, *numbers])
    if out:
        write_text(out, table.getvalue())
    if as_json:
        units = {quantity.name: quantity.unit for quantity in measure.quantities}
        abstained = {path: answer.reason for path, answer in answers.items() if not answer.answered}
        given = {path: values for path, values in measured.items() if path not in abstained}
        intervals = {path: intervals_of(answers[path], values) for path, values in given.items() if path in answers}
        document = {"units": units, "measured": given, "failed": failed}
        echo_json({**document, "intervals": intervals, "abstained": abstained} if answers else document)
    elif out:
        click.echo(f"{len(measured)} of {len(images)} images measured into {out}")
    else:
        click.echo(table.getvalue(), nl=False)
    if failed:
        raise VsfError(f"{len(failed)} of {len(images)} images could not be measured: {'; '.join(failed.values())}")


def trust_columns(quantities: Sequence[str]) -> list[str]:
    """Name the columns that an answer adds."""
    return [*(f"{end}_{name}" for name in quantities for end in ("lower", "upper")), "answered", "reason"]


def answered_row(answer: Answer, quantities: Sequence[str], values: Mapping[str, float]) -> list[str]:
    """Give the numbers, the intervals, and the verdict of one image; nothing but the reason where it is abstained."""
    if not answer.answered:
        return ["" for _ in range(3 * len(quantities))] + ["0", answer.reason]
    known = intervals_of(answer, values)
    ends = [f"{end:.9g}" if end is not None else "" for name in quantities for end in known.get(name, (None, None))]
    return [*(f"{values[name]:.9g}" for name in quantities), *ends, "1", ""]


def intervals_of(answer: Answer, values: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Give the interval of every value that has one."""
    found = {name: answer.interval(name, value) for name, value in values.items()}
    return {name: interval for name, interval in found.items() if interval is not None}
