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

SAMPLED = 4096
"""Pixels that the levels are read from at most: sorting more takes longer than painting them."""


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
        sample = pixels.ravel()[:: -(-pixels.size // SAMPLED)]
        low, high = (float(value) for value in np.percentile(sample, self._percentiles))
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
        gain = 255.0 / max(self.high - self.low, 1e-6)
        shown: npt.NDArray[Any]
        if pixels.dtype == np.uint16:  # addWeighted takes four times as long for these; subtract stops at 0
            above = cv2.subtract(pixels, self.low)  # type: ignore[call-overload]  # the stubs forget the scalar
            shown = cv2.convertScaleAbs(above, alpha=gain)
        else:
            shown = cv2.addWeighted(pixels, gain, pixels, 0, -gain * self.low, dtype=cv2.CV_8U)
        return np.asarray(shown, dtype=np.uint8)
