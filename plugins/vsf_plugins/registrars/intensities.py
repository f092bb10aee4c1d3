"""What a registrar sees of an image: floats to compare, 8 bits to describe; the counts on disk stay as they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsframework import UsageError
from vsframework.interfaces import ImageArray

SMALLEST_SIDE = 32
"""Images smaller than this (px) hold too little to fix a position."""


def as_float(image: ImageArray) -> npt.NDArray[np.float32]:
    """Give `image` [H, W] as float32.

    Raises
    ------
    UsageError
        When it is not a 2-D array of real numbers.
    """
    if image.ndim != 2 or image.dtype.kind not in "buif":
        raise UsageError(
            f"a registrar takes 2-D images of numbers, not {image.dtype} with shape {image.shape}; pass one channel"
        )
    return np.ascontiguousarray(image, dtype=np.float32)


def problem_with(pixels: npt.NDArray[np.float32]) -> str | None:
    """Say why nothing can be registered on `pixels` [H, W] (too small, not finite, constant), or None."""
    if min(pixels.shape) < SMALLEST_SIDE:
        return f"is too small ({pixels.shape[1]} x {pixels.shape[0]} px, at least {SMALLEST_SIDE} needed)"
    if not np.isfinite(pixels).all():
        return "holds pixels that are not finite"
    if float(np.ptp(pixels)) == 0:
        return "is constant"
    return None


def as_uint8(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Stretch finite `pixels` [H, W] linearly to 8 bits, for descriptors only.

    All but one pixel in ten thousand at each end keep their order: heads cover under 1 % of a field, so that wider
    percentiles would saturate just what is looked for, while hot pixels must not set the range.
    """
    low, high = np.percentile(pixels, [0.01, 99.99])
    if not high > low:
        low, high = float(pixels.min()), float(pixels.max())
    stretched = np.clip((pixels - low) * (255.0 / (high - low)), 0, 255)
    return np.asarray(stretched, dtype=np.uint8)
