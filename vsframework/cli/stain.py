"""``vsf stain``: brightfield images with a trained run."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as attribute
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsframework.cli.options import echo_json, json_option, workers_options
from vsframework.errors import UsageError, VsfError
from vsframework.fanout import Workers, fan_out

if TYPE_CHECKING:
    from vsframework.inference.whole_fields import Frame
    from vsframework.trust.staining import StainRequest, Target

SUFFIX = ".stained.ome.tif"
LARGE_SUFFIX = ".stained.ome.zarr"


@click.command(name="stain")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the stained images."
)
@click.option(
    "--scale",
    type=click.FloatRange(0.05, 20),
    help="Patch pixels per image pixel. Default: 1 for an image of patch size, else patches.size / patches.field_px.",
)
@click.option(
    "--other-pixel-size",
    type=click.Choice(["refuse", "resample"]),
    default="refuse",
    show_default=True,
    help="An image of another pixel size than the run was trained on.",
)
@click.option(
    "--mode",
    type=click.Choice(["deploy", "paper"]),
    default="deploy",
    show_default=True,
    help="paper: batch statistics and dropout as in training; not repeatable.",
)
@click.option("--device", default="cpu", show_default=True, help="Of torch: cpu, cuda, cuda:1, mps.")
@click.option("--cells", is_flag=True, help="Find the cells of every field and write NAME.cells.csv beside it.")
@click.option("--overwrite", is_flag=True, help="Stain again what is already there.")
@workers_options
@json_option
def command(
    run: Path,
    images: tuple[Path, ...],
    out: Path,
    scale: float | None,
    other_pixel_size: Any,
    mode: Any,
    device: str,
    cells: bool,
    overwrite: bool,
    workers: Workers,
    as_json: bool,
) -> None:
    """Stain brightfield images with a trained run.

    RUN is a run folder, IMAGES are brightfield patches or whole fields (TIFF, PNG, JPEG, OME-Zarr). Each gives an
    OME-TIFF with one channel of counts per stain; an OME-Zarr, or a field too large to be held, gives an OME-Zarr.
    Where the run was trained on several planes, an image is a TIFF with all of them, or a file per plane, named as in
    training. A bad image costs one sentence and exit code 1; the others are stained. A command that was stopped goes on
    where it was, in a large field too.

    With a calibrated run (vsf calibrate), a patch of one cell is judged too: NAME.stained.trust.json beside it says
    whether a number may be given, why not, and the intervals. --cells does the same for every cell of a field.
    """
    from vsframework.images import open_field
    from vsframework.inference.stacks import group_planes
    from vsframework.trust.staining import StainRequest, Target, large_frame, stain_image

    if not workers.here:  # another process may stand in another folder
        run, out, images = run.absolute(), out.absolute(), tuple(image.absolute() for image in images)
    request = StainRequest(
        run=run, mode=mode, device=device, scale=scale, cells=cells, other_pixel_size=other_pixel_size
    )
    stainer, judge = request.tools()
    sources = group_planes(images, stainer.experiment.data)
    targets = {field: out / f"{field.stem.removesuffix('.ome')}{SUFFIX}" for field in sources}
    if len(set(targets.values())) < len(targets):
        raise UsageError("two of the images have the same name, so their stains would overwrite each other")
    told = _Told()
    document: dict[str, Any]
    small: dict[Path, Target] = {}
    for field, target in targets.items():
        zarr = target.with_name(target.name.removesuffix(SUFFIX) + LARGE_SUFFIX)
        found = [path for path in (target, zarr) if path.exists()]
        if found and not overwrite:
            told.skipped += found
            continue
        try:
            frame = large_frame(request, sources[field])
        except VsfError as error:
            told.failed[str(field)] = str(error)
            continue
        if frame is None:
            small[field] = Target(sources[field], target)
        else:
            _stain_large(request, field, frame, zarr, workers, told)
    fields = list(small)
    for outcome in fan_out(partial(stain_image, request), list(small.values()), workers, "Staining"):
        field = fields[outcome.index]
        if outcome.error is None:
            told.done.append(small[field].path)
            if outcome.value:
                told.abstained[str(small[field].path)] = outcome.value
        else:
            told.failed[str(field)] = outcome.reason
    told.done.sort()
    sizes = {path: open_field(path).pixel_size_um for path in told.done}
    unknown = [path for path, size in sizes.items() if size is None]
    if as_json:
        document = {"stained": told.done, "skipped": told.skipped, "failed": told.failed}
        document["pixel_size"] = {"run_um": stainer.pixel_size_um, "unknown": unknown}
        echo_json({**document, "abstained": told.abstained} if judge else document)
    else:
        kept = f", {len(told.skipped)} already there (--overwrite stains them again)" if told.skipped else ""
        click.echo(f"{len(told.done)} of {len(targets)} images stained into {out}{kept}")
        if told.done and scale is None and stainer.pixel_size_um is None:
            click.echo("this run does not know its pixel size, so that of the images was not compared")
        elif unknown and scale is None:
            click.echo(f"{len(unknown)} images do not say their pixel size: taken as {stainer.pixel_size_um:g} µm")
        for path, reason in told.abstained.items():
            click.echo(f"{path}: abstained, because {reason}")
    if told.failed:
        reasons = "; ".join(told.failed.values())
        raise VsfError(f"{len(told.failed)} of {len(targets)} images could not be stained: {reasons}")


@dataclass
class _Told:
    """What became of the images."""

    done: list[Path] = attribute(default_factory=list)
    skipped: list[Path] = attribute(default_factory=list)
    failed: dict[str, str] = attribute(default_factory=dict)
    abstained: dict[str, str] = attribute(default_factory=dict)


def _stain_large(
    request: StainRequest, source: Path, frame: Frame, target: Path, workers: Workers, told: _Told
) -> None:
    """Stain a large field row by row of blocks; what is finished of it is kept when something goes wrong."""
    from vsframework.trust.staining import Target, begin_field, finish_field, stain_row

    rows = [Target(source, target, row) for row in begin_field(request, frame, target)]
    for outcome in fan_out(partial(stain_row, request), rows, workers, f"Staining {source.name}"):
        if outcome.error is not None:
            told.failed[str(source)] = outcome.reason
    if str(source) not in told.failed:
        finish_field(request, frame, target)
        told.done.append(target)
