"""Background: how unevenly the patch is lit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsf_edge.gates.measure import Measure, each_patch
from vsf_edge.interfaces import Array

SIDES = 4
"""The frame of the patch is split into this many pieces per side; the median of a piece ignores tails and specks."""


@dataclass(frozen=True)
class Background:
    """The slope of the light over the patch, from the medians of pieces of its frame."""

    version = "1"
    together = ""

    @property
    def measures(self) -> Sequence[Measure]:
        """Slope from one side to the other."""
        return (
            Measure(
                name="slope",
                unit="share of brightness",
                too_high="unevenly lit: its background slopes more than that of the training cells",
                resolution=0.02,
            ),
        )

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure `brightfield` [N, P, H, W], counts: float64 [N, 1]."""
        return each_patch(brightfield, full_scale, _values, 1)


def _values(plane: Array) -> tuple[float]:
    height, width = plane.shape
    down, across = max(1, height // 8), max(1, width // 8)
    top, bottom = plane[:down], plane[height - down :]
    left, right = plane[:, :across], plane[:, width - across :]
    level = max(float(np.median(plane)), 1e-3)
    slopes = (_difference(left.T, right.T), _difference(top, bottom))
    return (float(np.hypot(*slopes)) / level,)


def _difference(one: Array, other: Array) -> float:
    """Compare two opposite strips [h, W] piece by piece: the middle difference."""
    pairs = zip(np.array_split(one, SIDES, axis=1), np.array_split(other, SIDES, axis=1), strict=True)
    return float(np.median([np.median(b) - np.median(a) for a, b in pairs if a.size]))
