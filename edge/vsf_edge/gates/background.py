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
        strips = np.stack([plane[:, :down], plane[:, height - down :]])
        sides = np.stack([plane[:, :, :across], plane[:, :, width - across :]]).transpose(0, 1, 3, 2)
        slopes = np.hypot(_difference(sides), _difference(strips))
        return np.asarray(slopes / np.maximum(planes.level, 1e-3))[:, None]


def _difference(strips: Array) -> Values:
    """Compare two opposite strips [2, N, h, w] piece by piece: the middle difference, [N]."""
    ends = np.linspace(0, strips.shape[3], min(SIDES, strips.shape[3]) + 1).round().astype(int)
    pieces = [strips[..., first:last].reshape(2, strips.shape[1], -1) for first, last in itertools.pairwise(ends)]
    if len({piece.shape for piece in pieces}) == 1:  # one call for all takes a fraction of the time
        pieces = [np.stack(pieces)]
    one, other = np.concatenate([_medians(piece) for piece in pieces]).transpose(1, 0, 2)
    return np.asarray(np.median(other - one, axis=0), dtype=np.float64)


def _medians(pieces: Array) -> Values:
    """Give the medians of `pieces` [..., 2, N, pixels]: [pieces, 2, N]."""
    medians = np.median(pieces, axis=-1)
    return np.asarray(medians.reshape(-1, *medians.shape[-2:]), dtype=np.float64)
