"""The value of one cell over the good frames of its track, with an interval that shrinks only by what averages out.

The error of one frame is the model's bias for this cell plus the noise of this frame: y = truth + bias + noise. A mean
over frames keeps the whole bias and averages the noise, so its interval must not shrink as one over the root of the
number of frames. What is known is the half width h of one frame's conformal interval, which covers both, and how the
values of this track scatter. For any correlation of the noise in time, the expected scatter within the track,
v = mean((y - mean(y))^2), is exactly what the variance of the error loses by averaging:

    Var(error of one frame) - Var(error of the mean) = Var(noise) - Var(mean noise) = E[v]

so the half width of the mean is ``sqrt(h^2 - REMOVED * z^2 * v')`` with z the normal quantile of the coverage. v' is a
lower bound of v (one standard error below it, by the effective number of frames that the first autocorrelation of the
track leaves), so that a scatter that looks large by chance takes nothing away. A track whose frames agree because its
noise is slow has a small v and keeps its width: no number of frames has to be guessed. :data:`REMOVED` is below 1
because errors are not normal, and at least half of h always stays: h itself is known from few donors. A track that
scatters more than h allows is not believed more than one frame of it.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from vsf_edge.frames import Readout

REMOVED = 0.8
"""Part of the noise's share of the width that is taken off; see docs/live.md for the coverage that this leaves."""

LEAST = 0.5
"""Part of one frame's width that stays in any case."""


class SteadyValue:
    """Adds up one quantity of one track in constant memory.

    Parameters
    ----------
    coverage
        Nominal coverage of the intervals, between 0 and 1.
    """

    def __init__(self, coverage: float) -> None:
        self._z2 = NormalDist().inv_cdf((1 + coverage) / 2) ** 2
        self._count = 0
        self._first = self._last = 0.0
        self._sum = self._squares = self._products = self._widths2 = 0.0

    def add(self, frame: Readout) -> None:
        """Add the value of one good frame; one without a value counts for nothing."""
        if not math.isfinite(frame.value):
            return
        value = frame.value
        if not self._count:
            self._first = value  # sums are of differences from it, so that they stay exact
        away = value - self._first
        if self._count:
            self._products += away * (self._last - self._first)
        self._count += 1
        self._last = value
        self._sum += away
        self._squares += away * away
        self._widths2 += ((frame.high - frame.low) / 2) ** 2  # NaN where there is none, and stays so

    def readout(self) -> Readout:
        """Give the mean and its interval; NaN where there is none."""
        if not self._count:
            return Readout(value=math.nan, low=math.nan, high=math.nan, frames=0)
        mean = self._sum / self._count
        value, half = self._first + mean, self._half_width(mean)
        return Readout(value=value, low=value - half, high=value + half, frames=self._count)

    def _half_width(self, mean: float) -> float:
        width2 = self._widths2 / self._count
        scatter = max(self._squares / self._count - mean * mean, 0.0)
        noise2 = REMOVED * self._z2 * scatter
        removed2 = noise2 * max(0.0, 1 - math.sqrt(2 / self._effective(mean, scatter)))
        left2 = max(width2 - removed2, LEAST**2 * width2, LEAST**2 * noise2)
        return math.sqrt(min(left2, max(width2, LEAST**2 * noise2))) if left2 == left2 else math.nan

    def _effective(self, mean: float, scatter: float) -> float:
        """Give how many independent frames the scatter rests on: fewer where neighbours resemble each other."""
        if self._count < 2 or scatter <= 0:
            return 1e-9
        last = self._last - self._first
        # sum of (y[i] - mean)(y[i-1] - mean) over neighbours; the first difference is 0
        neighbours = self._products - mean * (2 * self._sum - last) + (self._count - 1) * mean * mean
        alike = min(max(neighbours / (self._count * scatter), 0.0), 0.99)
        return (self._count - 1) * (1 - alike**2) / (1 + alike**2)
