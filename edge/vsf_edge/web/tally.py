"""The distribution of every quantity over the cells of the session, for the histogram, and the scale it is shown on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from vsf_edge.frames import LiveCell
from vsf_edge.manifest import Quantity
from vsf_edge.web.colours import RATIO, Scale, round_up

BINS = 20
MOST_TRACKS = 20_000
"""The cells that were seen longest ago are forgotten beyond this many."""


@dataclass(frozen=True)
class Distribution:
    """How many cells lie in each of `BINS` equal parts of `scale`; `cells` of them all, `median` NaN where none."""

    scale: Scale
    counts: tuple[int, ...]
    cells: int
    median: float


class Tally:
    """Keeps the newest steady value of each track of the session; for several threads.

    Parameters
    ----------
    quantities
        Of the bundle.
    ratio
        Ends of the scale of a quantity of unit "1"; where most cells lie above, it goes up to 1. The scale of another
        quantity grows with its largest value.
    """

    def __init__(self, quantities: Sequence[Quantity], ratio: tuple[float, float] = RATIO) -> None:
        self._ratio, self._lock = ratio, Lock()
        self._values: dict[str, dict[int, float]] = {quantity.name: {} for quantity in quantities}
        self._units = {quantity.name: quantity.unit for quantity in quantities}
        self._largest = dict.fromkeys(self._values, 0.0)

    def add(self, cells: Sequence[LiveCell]) -> None:
        """Take the cells of one frame; a track that was never good does not count."""
        with self._lock:
            for name, values in self._values.items():
                for cell in cells:
                    steady = cell.steady.get(name)
                    if steady is None or not steady.frames or not math.isfinite(steady.value):
                        continue
                    values.pop(cell.track, None)
                    values[cell.track] = steady.value
                    self._largest[name] = max(self._largest[name], abs(steady.value))
                while len(values) > MOST_TRACKS:
                    del values[next(iter(values))]

    def scale(self, name: str) -> Scale:
        """Give the scale that a quantity is shown on."""
        return self.distribution(name).scale

    def distribution(self, name: str) -> Distribution:
        """Give the distribution of a quantity; what lies outside the scale counts in the part at its end."""
        with self._lock:
            values, largest = np.fromiter(self._values[name].values(), np.float64), self._largest[name]
        median = float(np.median(values)) if len(values) else math.nan
        if self._units[name] != "1":
            scale = Scale(0.0, round_up(largest) if largest else 1.0)
        else:
            scale = Scale(self._ratio[0], 1.0) if median > self._ratio[1] else Scale(*self._ratio)
        counts, _ = np.histogram(np.clip(values, scale.low, scale.high), BINS, (scale.low, scale.high))
        return Distribution(scale, tuple(int(count) for count in counts), len(values), median)
