"""``vsf register``: where one image lies in another, with a picture to judge it by."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsframework.cli.options import echo_json, json_option

if TYPE_CHECKING:
    from vsframework.interfaces import ImageArray


@click.command(name="register")
@click.argument("moving", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("fixed", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--registrar", default="sift-ransac", show_default=True, help="As vsf plugins list --kind registrar.")
@click.option(
    "-O",
    "--set",
    "settings",
    multiple=True,
    metavar="PARAM=VALUE",
    help="A parameter of the registrar, e.g. -O max_shift=40 (repeatable).",
)
@click.option("--channel", default=0, show_default=True, type=click.IntRange(0), help="Of images with several.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture to judge it by (PNG)."
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    moving: Path,
    fixed: Path,
    registrar: str,
    settings: tuple[str, ...],
    channel: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find where MOVING lies in FIXED, and say whether to believe it.

    The matrix takes pixels of MOVING (x to the right, y down, first pixel at 0, 0) to pixels of FIXED. The picture
    shows both images, one over the other before and after, and a checkerboard of the two; of a refused registration
    too, so that a person can see why. Exit code 1 where it is not accepted.

    Use sift-ransac for a brightfield patch in its field, and phase-correlation, ecc or mutual-information for
    fluorescence on brightfield.
    """
    from vsframework.errors import UsageError
    from vsframework.plugins import registry

    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"{out}: the picture is a PNG; give it a name that ends in .png")
    part = registry().create("registrar", registrar, _parse(settings))
    first, second = _read(moving, channel), _read(fixed, channel)
    begin = time.perf_counter()
    found = part.register(first, part.prepare(second))
    elapsed = 1e3 * (time.perf_counter() - begin)
    if out is not None:
        from vsframework.cli.registration_picture import draw_registration

        draw_registration(out, first, second, found, title=f"{registrar}: {moving.name} in {fixed.name}")
    if as_json:
        echo_json(
            {
                "registrar": registrar,
                "accepted": found.accepted,
                "reason": found.reason,
                "model": found.model,
                "matrix": [[_number(value) for value in row] for row in found.matrix],
                "matches": found.matches,
                "inliers": found.inliers,
                "residual_px": _number(found.residual_px),
                "similarity": _number(found.similarity),
                "milliseconds": round(elapsed, 3),
                "picture": out,
            }
        )
    else:
        click.echo(f"{'accepted' if found.accepted else 'NOT accepted'}: {found.reason}")
        click.echo(f"{found.model}, from {moving.name} to {fixed.name} (px):")
        for row in found.matrix:
            click.echo("  " + "  ".join(f"{value:12.6f}" for value in row))
        quality = [("inliers", f"{found.inliers} of {found.matches}")] if found.matches else []
        quality += [
            (name, f"{value:.3g}")
            for name, value in (("residual px", found.residual_px), ("similarity", found.similarity))
            if _number(value) is not None
        ]
        click.echo(", ".join(f"{name} {value}" for name, value in [*quality, ("ms", f"{elapsed:.0f}")]))
        if out is not None:
            click.echo(f"picture: {out}")
    if not found.accepted:
        context.exit(1)


def _parse(settings: tuple[str, ...]) -> dict[str, Any]:
    import tomllib

    from vsframework.errors import UsageError

    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not (key.strip() and equals):
            raise UsageError(f"-O {setting}: write PARAM=VALUE, e.g. -O max_shift=40")
        try:
            values[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key.strip()] = text.strip()  # a bare word is text
    return values


def _read(path: Path, channel: int) -> ImageArray:
    from vsframework.errors import UsageError
    from vsframework.images import read_image

    image = read_image(path)
    if channel >= len(image.pixels):
        raise UsageError(f"{path} has {len(image.pixels)} channel(s), none of number {channel} (counted from 0)")
    pixels: ImageArray = image.pixels[channel]
    return pixels


def _number(value: float) -> float | None:
    """Give a finite number, or None: JSON knows no NaN."""
    import math

    return float(value) if math.isfinite(value) else None
