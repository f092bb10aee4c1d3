"""Which colour a value has: one scale for the outlines, the list, the histogram and the pictures without JavaScript.

The scale goes from blue over violet and orange to yellow and gets lighter all the way, so that it reads rightly with
every kind of colour blindness and in grey.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

STOPS: tuple[Colour, ...] = (
    (44, 92, 214),
    (98, 98, 219),
    (148, 103, 206),
    (190, 110, 178),
    (224, 122, 140),
    (243, 145, 99),
    (249, 176, 68),
    (248, 210, 68),
    (250, 241, 140),
)
"""Red, green, blue; evenly spaced from the lower to the upper end of the scale."""

ABSTAINED: Colour = (178, 184, 192)
"""Of a cell without a number."""

RATIO = (0.0, 0.3)
"""Ends of the scale of a ratio. Of the 1064 DFIs of McCallum et al. 2019, half lie below 0.093 and nine above 0.3; what
lies above has the last colour."""


@dataclass(frozen=True)
class Scale:
    """The ends of the colour scale and of the histogram of one quantity, in its unit."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Give where `value` lies, 0 at the lower end and 1 at the upper; what is outside is put at the end."""
        width = self.high - self.low
        return min(1.0, max(0.0, (value - self.low) / width)) if width > 0 else 0.0

    def colour(self, value: float) -> Colour:
        """Give the colour of `value`; that of an abstained cell where it is NaN."""
        if math.isnan(value):
            return ABSTAINED
        at = self.place(value) * (len(STOPS) - 1)
        red, green, blue = (np.interp(at, range(len(STOPS)), channel) for channel in zip(*STOPS, strict=True))
        return round(float(red)), round(float(green)), round(float(blue))


def round_up(value: float) -> float:
    """Give the next of 1, 2, 5, 10, 20, ... (and their tenths) that is not below the positive `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value * (1 - 1e-9))
