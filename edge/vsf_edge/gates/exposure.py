"""Exposure: how bright the patch is, and how much of it the camera could not resolve any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsf_edge.gates.measure import Measure, MeasuresPlanes
from vsf_edge.gates.planes import PatchPlanes, Values

SATURATED = 0.998
"""Share of the full scale from which a pixel counts as saturated (255 of 8 bit, 4087 of 12)."""


@dataclass(frozen=True)
class Exposure(MeasuresPlanes):
    """Saturated pixels carry no information; another brightness means another lamp or exposure time."""

    version = "2"
    together = ""

    @property
    def measures(self) -> Sequence[Measure]:
        """Saturated share, and brightness."""
        return (
            Measure(
                name="saturated",
                unit="share of pixels",
                too_high="overexposed: too many of its pixels are saturated",
                resolution=0.01,
            ),
            Measure(
                name="brightness",
                unit="share of full scale",
                too_low="underexposed: it is darker than the training cells",
                too_high="overexposed: it is brighter than the training cells",
                resolution=0.02,
            ),
        )

    def measure_planes(self, planes: PatchPlanes) -> Values:
        """Measure prepared patches: float64 [N, 2]."""
        bright = np.greater_equal(planes.counts, np.float32(SATURATED * planes.full_scale))
        saturated = np.array([np.count_nonzero(plane) for plane in bright]) / bright[0].size
        return np.stack([saturated, planes.level], axis=1)
