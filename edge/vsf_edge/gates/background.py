"""Background: how unevenly the patch is lit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsf_edge.gates.measure import Measure, MeasuresPlanes
from vsf_edge.gates.planes import PatchPlanes, Values
from vsf_edge.interfaces import Array

SIDES = 4
"""The frame of the patch is split into this many pieces per side; the median of a piece ignores tails and specks."""


@dataclass(frozen=True)
class Background(MeasuresPlanes):
    """The slope of the light over the patch, from the medians of pieces of its frame."""

    version = "2"
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

    def measure_planes(self, planes: PatchPlanes) -> Values:
        """Measure prepared patches: float64 [N, 1]."""
        plane = planes.coarse
        height, width = plane.shape[1:]
        down, across = max(1, height // 8), max(1, width // 8)
        top, bottom = plane[:, :down], plane[:, height - down :]
        left, right = (side.transpose(0, 2, 1) for side in (plane[:, :, :across], plane[:, :, width - across :]))
        slopes = np.hypot(_difference(left, right), _difference(top, bottom))
        return np.asarray(slopes / np.maximum(planes.level, 1e-3))[:, None]


def _difference(one: Array, other: Array) -> Values:
    """Compare two opposite strips [N, h, w] piece by piece: the middle difference, [N]."""
    ends = np.linspace(0, one.shape[2], min(SIDES, one.shape[2]) + 1).round().astype(int)
    pieces = [slice(*pair) for pair in itertools.pairwise(ends)]
    apart = [_median(other[:, :, piece]) - _median(one[:, :, piece]) for piece in pieces]
    return np.asarray(np.median(apart, axis=0), dtype=np.float64)


def _median(piece: Array) -> Values:
    return np.asarray(np.median(piece.reshape(len(piece), -1), axis=1), dtype=np.float64)
