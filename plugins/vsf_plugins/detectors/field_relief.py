"""A brightfield field prepared for finding heads: flat, at a working size, with its noise and its structure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vsframework.interfaces import ImageArray

WORKING_LENGTH = 50.0
"""Length that a typical head gets, in working pixels: enough for its outline, a quarter of the pixels to look at."""

BACKGROUND_BLOCK = 8
BACKGROUND_WINDOW = 31
"""The background is the median over 31 blocks of 8 working pixels: five heads wide, so that no head is part of it."""

FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FieldRelief:
    """A field at working size.

    Attributes
    ----------
    relief
        float32 [h, w], counts above (halo) or below (head) the local background, slightly smoothed.
    structure
        float32 [h, w], local standard deviation of `relief`, counts.
    noise
        What `structure` is where there is nothing, counts; > 0 unless the field is flat.
    scale
        Working pixels per field pixel.
    """

    relief: FloatImage
    structure: FloatImage
    noise: float
    scale: float

    def sample_relief(self, x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> FloatImage:
        """Read `relief` at working pixels [M, N]; outside the field, its nearest pixel."""
        return _sample(self.relief, x, y, cv2.BORDER_REPLICATE)

    def sample_structure(self, x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> FloatImage:
        """Read `structure` at working pixels [M, N]; NaN outside the field."""
        return _sample(self.structure, x, y, cv2.BORDER_CONSTANT)

    def to_field(self, x: float, y: float) -> tuple[float, float]:
        """Turn working pixels into field pixels (both count from the centre of the first pixel)."""
        return (x + 0.5) / self.scale - 0.5, (y + 0.5) / self.scale - 0.5


def field_relief(field: ImageArray, head_length: float) -> FieldRelief | None:
    """Prepare `field` [H, W] for heads of about `head_length` pixels; None where no head would fit."""
    if min(field.shape) < head_length:
        return None
    scale = WORKING_LENGTH / head_length
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shrunk = _as_float(cv2.resize(_as_float(field), None, fx=scale, fy=scale, interpolation=interpolation))
    relief = cv2.GaussianBlur(shrunk - _background(shrunk), (0, 0), 0.024 * WORKING_LENGTH)
    window = 0.05 * WORKING_LENGTH
    mean, square = cv2.GaussianBlur(relief, (0, 0), window), cv2.GaussianBlur(relief * relief, (0, 0), window)
    structure = np.sqrt(np.maximum(square - mean * mean, 0))
    darkest, brightest = np.percentile(relief, [0.05, 99.95])
    # Heads fill little of a field, but a third of a crop: the darkest fifth is background in both. The floors are for
    # fields without noise: rounding of float32 is no structure.
    quiet = float(np.percentile(structure[::2, ::2], 20))
    noise = max(quiet, 0.005 * float(brightest - darkest), 1e-4 * float(np.abs(shrunk).max()))
    return FieldRelief(relief.astype(np.float32), structure.astype(np.float32), noise, scale)


def _background(shrunk: FloatImage) -> FloatImage:
    height, width = shrunk.shape
    size = (max(3, width // BACKGROUND_BLOCK), max(3, height // BACKGROUND_BLOCK))
    blocks = cv2.resize(shrunk, size, interpolation=cv2.INTER_AREA)
    # OpenCV's large median is for 8 bit; half a 255th of the range is far below the noise of a head's halo.
    low, high = np.percentile(blocks, [1, 99])
    step = max(float(high - low) / 255, 1e-9)
    levels = np.clip((blocks - low) / step, 0, 255).round().astype(np.uint8)
    window = min(BACKGROUND_WINDOW, (min(size) - 1) // 2 * 2 + 1)
    smooth = cv2.medianBlur(levels, window).astype(np.float32) * step + low
    return _as_float(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR))


def _sample(image: FloatImage, x: npt.NDArray[np.floating], y: npt.NDArray[np.floating], border: int) -> FloatImage:
    values = cv2.remap(
        image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=border, borderValue=float("nan")
    )
    return _as_float(values)


def _as_float(image: npt.NDArray[np.generic]) -> FloatImage:
    return image.astype(np.float32, copy=False)
