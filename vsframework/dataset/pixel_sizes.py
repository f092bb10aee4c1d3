"""One study, one pixel size: an image of another is refused or resampled, never mixed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vsframework.config import DataSection
from vsframework.dataset.geometry import resize
from vsframework.errors import VsfError
from vsframework.images import Image
from vsframework.interfaces import ImageArray

SAME_WITHIN = 0.01
"""Relative difference of two pixel sizes that calibrations of one microscope show, and no more."""


@dataclass(frozen=True, kw_only=True)
class PixelSizes:
    """What is known about the pixels of one field.

    Attributes
    ----------
    um
        Side of a pixel in µm, after any resampling; None where no image and no setting says it.
    said
        Whether an image of the field says it; else it is what ``data.pixel_size_um`` takes it for.
    resampled_from
        Other pixel sizes that were resampled, in µm.
    """

    um: float | None = None
    said: bool = False
    resampled_from: tuple[float, ...] = ()


@dataclass
class StudyPixels:
    """The pixel sizes of a study, gathered field by field."""

    um: float | None = None
    unknown: int = 0
    resampled: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def add(self, name: str, sizes: PixelSizes) -> str:
        """Take in the field called `name`; give the reason why it must be left out, empty if it need not."""
        if sizes.um is not None and self.um is not None and not same_size(sizes.um, self.um):
            return (
                f"its images have pixels of {sizes.um:g} µm, those of earlier fields {self.um:g} µm; set "
                "data.pixel_size_um and data.other_pixel_size = 'resample', or leave it out"
            )
        self.um = self.um if self.um is not None else sizes.um
        self.unknown += not sizes.said
        if sizes.resampled_from:
            self.resampled[name] = sizes.resampled_from
        return ""

    def record(self) -> dict[str, Any]:
        """Give what ``dataset.json`` says: the pixel size, how many fields did not say theirs, and those resampled."""
        return {
            "pixel_size_um": self.um,
            "fields_without_pixel_size": self.unknown,
            "resampled_from_um": {name: list(sizes) for name, sizes in sorted(self.resampled.items())},
        }


def same_size(one: float, other: float) -> bool:
    """Say whether two pixel sizes in µm are the same but for their calibration."""
    return abs(one - other) <= SAME_WITHIN * min(one, other)


def to_one_size(
    data: DataSection, planes: ImageArray, plane_images: Sequence[Image], stains: Sequence[Image]
) -> tuple[ImageArray, list[ImageArray], PixelSizes]:
    """Bring the images of a field to the pixel size of the study.

    Parameters
    ----------
    planes, plane_images
        Brightfield [P, H, W], and the images it came from.
    stains
        One channel each.

    Returns
    -------
    planes
        As given; where resampled, rounded to whole counts again.
    stains
        [H, W] each; where resampled, float32 counts, since rounding them would move the background.
    sizes
        What is recorded.

    Raises
    ------
    VsfError
        When an image has another pixel size than the study (or than the others of its field), and is not to be
        resampled.
    """
    plain = [image.plane() for image in stains]
    known = [image.pixel_size_um for image in (*plane_images, *stains) if image.pixel_size_um is not None]
    study = data.pixel_size_um if data.pixel_size_um is not None else (known[0] if known else None)
    if study is None:
        return planes, plain, PixelSizes()
    others = sorted({size for size in known if not same_size(size, study)})
    if others and data.other_pixel_size == "refuse":
        sizes = " and ".join(f"{size:g}" for size in others)
        what = "the study has" if data.pixel_size_um is not None else "others of it have"
        raise VsfError(
            f"it has images with pixels of {sizes} µm where {what} {study:g} µm; set data.other_pixel_size = "
            "'resample' and data.pixel_size_um, or leave it out"
        )
    resampled = PixelSizes(um=study, said=bool(known), resampled_from=tuple(others))
    if not others:
        return planes, plain, resampled
    factors = {_factor(image, study) for image in plane_images}
    if len(factors) > 1:
        raise VsfError("its brightfield planes have different pixel sizes")
    factor = factors.pop()
    scaled = np.stack([_counts(resample(plane, factor), plane.dtype) for plane in planes]) if factor != 1 else planes
    return scaled, [resample(image.plane(), _factor(image, study)) for image in stains], resampled


def resample(plane: ImageArray, factor: float) -> ImageArray:
    """Resample [H, W] to `factor` times its pixels along a side: float32 [H', W'], averaged where it shrinks."""
    if factor == 1:
        return plane
    height, width = (max(1, round(side * factor)) for side in plane.shape)
    return resize(plane, height, width)


def _factor(image: Image, study: float) -> float:
    size = image.pixel_size_um
    return 1.0 if size is None or same_size(size, study) else size / study


def _counts(plane: ImageArray, dtype: np.dtype[np.generic]) -> ImageArray:
    if dtype.kind == "f":
        return plane.astype(dtype)
    return np.rint(plane.astype(np.float32)).astype(dtype)
