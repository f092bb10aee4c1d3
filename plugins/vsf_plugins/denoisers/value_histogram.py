"""How often each count occurs in a patch: what both histogram rules start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsframework.errors import VsfError
from vsframework.interfaces import BoolArray

LARGEST_SPAN = 1 << 20
"""Above this span of counts one bin per count costs more than sorting the pixels."""

OPENCV_DTYPES = (np.uint8, np.uint16)
"""What OpenCV counts, several times faster than NumPy."""


@dataclass(frozen=True)
class ValueHistogram:
    """The counts of one image, one bin each.

    Attributes
    ----------
    values
        int64 [K], ascending, counts; some may not occur.
    frequency
        int64 [K], pixels per value.
    counts
        [H, W], whole counts: which of `values` each pixel holds.
    """

    values: npt.NDArray[np.int64]
    frequency: npt.NDArray[np.int64]
    counts: npt.NDArray[Any]

    def holds(self, chosen: npt.NDArray[np.bool_] | list[int]) -> BoolArray:
        """Mark the pixels [H, W] that hold one of the `chosen` values (positions in `values`, or a mask of them)."""
        positions = np.sort(np.arange(len(self.values))[chosen])
        mask = np.zeros(self.counts.shape, dtype=np.bool_)
        # Comparing with each run of neighbouring values is cheaper than looking every pixel up in a table.
        for run in np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1):
            if run.size:
                low, high = (self.counts.dtype.type(self.values[end]) for end in (run[0], run[-1]))
                mask |= self.counts == low if low == high else (self.counts >= low) & (self.counts <= high)
        return mask


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
        values, frequency = np.unique(counts, return_counts=True)
        return ValueHistogram(values.astype(np.int64), frequency, counts)
    if counts.dtype not in OPENCV_DTYPES and first >= 0 and last <= np.iinfo(np.uint16).max:
        counts = counts.astype(np.uint16)
    if counts.dtype in OPENCV_DTYPES:
        bins = cv2.calcHist([np.ascontiguousarray(counts)], [0], None, [last + 1], [0, last + 1])
        frequency = bins.ravel().astype(np.int64)  # float32 in OpenCV, exact up to 16 million pixels
        return ValueHistogram(np.arange(last + 1, dtype=np.int64), frequency, counts)
    frequency = np.bincount((counts.astype(np.int64) - first).ravel(), minlength=last - first + 1)
    return ValueHistogram(np.arange(first, last + 1, dtype=np.int64), frequency, counts)
