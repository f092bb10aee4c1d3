"""How often each count occurs in a patch: what both histogram rules start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsframework.errors import VsfError
from vsframework.interfaces import BoolArray

# Above this span of counts one bin per count costs more than sorting the pixels.
LARGEST_SPAN = 1 << 20


@dataclass(frozen=True)
class ValueHistogram:
    """The counts of one image, one bin each.

    Attributes
    ----------
    values
        int64 [K], ascending, counts; some may not occur.
    frequency
        int64 [K], pixels per value.
    index
        int64 [H, W], which of `values` each pixel holds.
    """

    values: npt.NDArray[np.int64]
    frequency: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]

    def holds(self, chosen: npt.NDArray[np.bool_] | list[int]) -> BoolArray:
        """Mark the pixels [H, W] that hold one of the `chosen` values (positions in `values`, or a mask of them)."""
        wanted = np.zeros(len(self.values), dtype=np.bool_)
        wanted[chosen] = True
        return wanted.take(self.index, mode="clip")  # every index is in bounds; "clip" only skips that check


def value_histogram(image: npt.NDArray[np.generic]) -> ValueHistogram:
    """Count the values of `image` [H, W]; floating-point images are rounded to the nearest count.

    Raises
    ------
    VsfError
        When `image` holds NaN or infinity.
    """
    lowest, highest = image.min(), image.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise VsfError("a fluorescence patch holds NaN or infinite counts; check the image it was cut from")
    counts = image if np.issubdtype(image.dtype, np.integer) else np.rint(image)
    first, last = int(np.rint(lowest)), int(np.rint(highest))
    if last - first >= LARGEST_SPAN:
        values, index, frequency = np.unique(counts, return_inverse=True, return_counts=True)
        return ValueHistogram(values.astype(np.int64), frequency, index.reshape(counts.shape))
    if 0 <= first < 256:  # a few empty bins cost less than shifting every pixel
        first = 0
    # Floats go to int64 three times faster by way of int32.
    index = counts.astype(np.int32 if first > -LARGEST_SPAN and last < LARGEST_SPAN else np.int64).astype(np.int64)
    if first:
        index -= first
    frequency = np.bincount(index.ravel(), minlength=last - first + 1)
    return ValueHistogram(np.arange(first, last + 1, dtype=np.int64), frequency, index)
