"""Which counts are shown black and white: they follow the pictures slowly, so that the display does not flicker."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.integer[Any] | np.floating[Any]]

SHARE = 0.15
"""How far the levels move towards those of a new picture."""

JUMP = 0.5
"""A change of more than this share of the range is taken at once: another exposure, not noise."""


class Levels:
    """The counts of black and white of one channel.

    Parameters
    ----------
    percentiles
        Of the pixels: what is shown black, what is shown white.
    least
        Range in counts that is kept at least, so that noise alone is not blown up.
    """

    def __init__(self, percentiles: tuple[float, float], least: float) -> None:
        self._percentiles, self._least = percentiles, least
        self.low, self.high = 0.0, 0.0
        self._known = False

    def follow(self, pixels: Pixels) -> None:
        """Move towards the levels of `pixels` (a sample of the picture is enough)."""
        if not pixels.size:
            return
        low, high = (float(value) for value in np.percentile(pixels, self._percentiles))
        if high - low < self._least:
            low, high = max(0.0, (low + high - self._least) / 2), max(0.0, (low + high - self._least) / 2) + self._least
        span = max(self.high - self.low, self._least)
        if not self._known or max(abs(low - self.low), abs(high - self.high)) > JUMP * span:
            self.low, self.high, self._known = low, high, True
            return
        self.low += SHARE * (low - self.low)
        self.high += SHARE * (high - self.high)

    def apply(self, pixels: Pixels) -> npt.NDArray[np.uint8]:
        """Give `pixels` as shown: uint8 of the same shape."""
        black = pixels.dtype.type(self.low)
        above = np.maximum(pixels, black)
        above -= black
        return np.asarray(cv2.convertScaleAbs(above, alpha=255.0 / max(self.high - self.low, 1e-6)), dtype=np.uint8)
