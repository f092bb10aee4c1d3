"""``vsf quantify``: stains on disk to named values."""

from __future__ import annotations

from pathlib import Path

import click

from vsframework.cli.options import echo_json, json_option


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
@json_option
def command(
    images: tuple[Path, ...], quantifier: str, denoiser: str | None, stains: str, out: Path | None, as_json: bool
) -> None:
    """Measure stains on disk: named values per image.

    IMAGES are stained OME-TIFFs, or raw fluorescence patches with named channels. A bad image costs one sentence and
    exit code 1; the others are measured.
    """
    import csv
    import io

    from vsframework.atomic import write_text
    from vsframework.errors import UsageError, VsfError
    from vsframework.inference import measure_file
    from vsframework.plugins import registry
    from vsframework.progress import track

    measure = registry().create("quantifier", quantifier)
    clean = registry().create("denoiser", denoiser) if denoiser else None
    names = [name.strip() for name in stains.split(",") if name.strip()]
    measured, failed = {}, {}
    for image in track(images, "Measuring"):
        try:
            measured[str(image)] = measure_file(image, measure, clean, names)
        except UsageError:
            raise  # the request is wrong for every image
        except VsfError as error:
            failed[str(image)] = str(error)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    quantities = [quantity.name for quantity in measure.quantities]
    writer.writerow(["image", *quantities])
    for path, values in measured.items():
        writer.writerow([path, *(f"{values[name]:.9g}" for name in quantities)])
    if out:
        write_text(out, table.getvalue())
    if as_json:
        units = {quantity.name: quantity.unit for quantity in measure.quantities}
        echo_json({"units": units, "measured": measured, "failed": failed})
    elif out:
        click.echo(f"{len(measured)} of {len(images)} images measured into {out}")
    else:
        click.echo(table.getvalue(), nl=False)
    if failed:
        raise VsfError(f"{len(failed)} of {len(images)} images could not be measured: {'; '.join(failed.values())}")
