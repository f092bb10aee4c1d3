"""How many pixels of a training patch make a pixel of an image: by their sizes in µm, where both are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from vsframework.dataset.pixel_sizes import same_size
from vsframework.errors import VsfError
from vsframework.inference.stainer import Stainer

OtherPixelSize: TypeAlias = Literal["refuse", "resample"]


@dataclass(frozen=True, kw_only=True)
class Magnification:
    """At which magnification an image is stained.

    Attributes
    ----------
    scale
        Pixels of a training patch per pixel of the image.
    resampled
        Whether this is because the image has another pixel size than the run was trained on.
    note
        What is recorded in the stained image: both pixel sizes, or which of them is unknown.
    """

    scale: float
    resampled: bool = False
    note: str


def usual_scale(stainer: Stainer, shape: tuple[int, int]) -> float:
    """Give the magnification at which the generators saw cells: 1 for a patch, else that of a cell cut from a field."""
    patches = stainer.experiment.patches
    return 1.0 if shape == (patches.size, patches.size) else patches.size / patches.field_px


def magnification(
    stainer: Stainer,
    shape: tuple[int, int],
    pixel_size_um: float | None,
    path: Path | None,
    scale: float | None = None,
    other: OtherPixelSize = "refuse",
) -> Magnification:
    """Choose the magnification for an image.

    Parameters
    ----------
    shape
        Height and width of the image in pixels.
    pixel_size_um
        Of the image; None where it does not say.
    path
        For the error's sentence.
    scale
        What the user asked for; it is taken without a question.
    other
        What to do with an image of another pixel size than the run was trained on.

    Raises
    ------
    VsfError
        When the pixel sizes differ and the image is not to be resampled.
    """
    trained = stainer.pixel_size_um
    patches = stainer.experiment.patches
    usual = usual_scale(stainer, shape)
    sizes = f"image {_um(pixel_size_um)}, training fields {_um(trained)} per pixel"
    if scale is not None:
        return Magnification(scale=scale, note=f"Stained at {scale:g} patch pixels per pixel, as asked; {sizes}.")
    if trained is None or pixel_size_um is None:
        return Magnification(scale=usual, note=f"Stained at {usual:g} patch pixels per pixel, uncompared; {sizes}.")
    by_size = pixel_size_um / (trained * patches.field_px / patches.size)
    if same_size(by_size, usual):
        return Magnification(scale=usual, note=f"Stained at {usual:g} patch pixels per pixel; {sizes}.")
    if other == "refuse":
        raise VsfError(
            f"{path} has pixels of {pixel_size_um:g} µm and this run was trained on fields of {trained:g} µm; have it "
            "resampled (--other-pixel-size resample), or say how (--scale)"
        )
    return Magnification(
        scale=by_size, resampled=True, note=f"Resampled to {by_size:g} patch pixels per pixel to be stained; {sizes}."
    )


def _um(size: float | None) -> str:
    return "unknown" if size is None else f"{size:g} µm"
