"""``vsf-edge run``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from vsf_edge.cli import options

if TYPE_CHECKING:
    from vsf_edge.staining import StainedImage


@click.command("run")
@options.model
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to."
)
@click.option("--dtype", type=click.Choice(["float32", "uint16"]), default="float32", show_default=True,
              help="Of the stains: counts as they are, or rounded to whole counts.")  # fmt: skip
@click.option("--format", "file_format", type=click.Choice(["tiff", "ome-tiff"]), default="tiff", show_default=True,
              help="One TIFF per stain, or one OME-TIFF with brightfield and stains per image.")  # fmt: skip
@click.option("--kind", type=click.Choice(["cell", "field"]), default="cell", show_default=True,
              help="Square crops of one cell, resized to the patch of training, or images as they are.")  # fmt: skip
@click.option("--other-pixel-size", type=click.Choice(["refuse", "resample"]), default="refuse", show_default=True,
              help="An image of other pixels than the model was trained on.")  # fmt: skip
@click.option("--pixel-size", type=click.FloatRange(1e-4, 1e5), metavar="UM",
              help="Micrometres per pixel of the images, in the place of what they say.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1, 1024), default=4, show_default=True, help="Images stained at once.")
@click.option("--again", is_flag=True, help="Stain also what is there already.")
@options.runtime
@options.precision
@options.verify
@options.as_json
@click.pass_context
def command(
    context: click.Context,
    model: Path,
    images: tuple[Path, ...],
    out: Path,
    dtype: str,
    file_format: str,
    kind: Literal["cell", "field"],
    other_pixel_size: Literal["refuse", "resample"],
    pixel_size: float | None,
    batch: int,
    again: bool,
    runtime: str,
    precision: str,
    verify: Path | None,
    as_json: bool,
) -> None:
    """Stain image files and measure them.

    MODEL is a .vsf file, IMAGES are square brightfield crops of one cell each (PNG or TIFF). Writes the stains in
    counts, and cells.csv with the quantities. Where MODEL carries a trust table, a cell outside its gates gets a reason
    instead of a number, and every other one the ends of its interval. Where MODEL and an image both know their pixel
    size and the two differ, the image is refused, or resampled where you say so. A bad image does not stop the others;
    the exit code is 1 if there was one. Run it again after a stop, and what is there already is not stained twice.
    """
    from vsf_edge.judging import trust_judge
    from vsf_edge.run_record import RunRecord
    from vsf_edge.staining import TABLE, Style, stain_images

    with options.opened(model, verify) as bundle:
        engine = options.ready(bundle, runtime, precision).engine
        way = {"bundle": bundle.sha256, "engine": engine.label, "dtype": dtype, "format": file_format}
        way |= {"kind": kind, "other_pixel_size": other_pixel_size, "pixel_size_um": str(pixel_size or "")}
        judge = trust_judge(bundle) if kind == "cell" else None
        record = RunRecord(out, way, forget=again)
        units = {quantity.name: quantity.unit for quantity in bundle.manifest.quantities}
        style = Style(
            dtype=dtype, format=file_format, kind=kind, other_pixel_size=other_pixel_size, pixel_size_um=pixel_size
        )
        results = []
        for stained in stain_images(bundle, engine.session, images, out, style, batch, judge, record):
            results.append(stained)
            if stained.problem:
                click.echo(f"Error: {stained.problem}", err=True)
            elif not as_json and not stained.skipped:
                values = ", ".join(
                    f"{name} {value:.4g}{'' if units[name] == '1' else ' ' + units[name]}"
                    for name, value in stained.quantities.items()
                )
                if stained.abstained:
                    values = f"abstained, because {stained.abstained}"
                click.echo(f"[{len(results)}/{len(images)}] {stained.image}: {values or 'stained'}")
    failed = sum(bool(result.problem) for result in results)
    skipped = sum(result.skipped for result in results)
    if as_json:
        click.echo(json.dumps(_document(results, out / TABLE, engine.label), indent=2))
    else:
        before = f", {skipped} of them before" if skipped else ""
        click.echo(
            f"{len(results) - failed} of {len(results)} stained{before} with {engine.label}, values in {out / TABLE}",
            err=True,
        )
    context.exit(1 if failed else 0)


def _document(results: list[StainedImage], table: Path, engine: str) -> dict[str, Any]:
    return {
        "table": str(table),
        "engine": engine,
        "failed": sum(bool(result.problem) for result in results),
        "skipped": sum(result.skipped for result in results),
        "images": [
            {
                "image": str(result.image),
                "files": [str(file) for file in result.files],
                "quantities": {k: None if math.isnan(v) else v for k, v in result.quantities.items()},
                "abstained": result.abstained or None,
                "magnification": result.note or None,
                "judged": {k: None if math.isnan(v) else v for k, v in result.judged.items()},
                "skipped": result.skipped,
                "problem": result.problem or None,
            }
            for result in results
        ],
    }
