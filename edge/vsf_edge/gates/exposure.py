"""Exposure: how bright the patch is, and how much of it the camera could not resolve any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsf_edge.gates.measure import Measure, middle_plane
from vsf_edge.interfaces import Array

SATURATED = 0.998
"""Share of the full scale from which a pixel counts as saturated (255 of 8 bit, 4087 of 12)."""


@dataclass(frozen=True)
class Exposure:
    """Saturated pixels carry no information; another brightness means another lamp or exposure time."""

    version = "1"
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

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure `brightfield` [N, P, H, W], counts: float64 [N, 2]."""
        plane = middle_plane(brightfield, full_scale)
        saturated = (plane >= SATURATED).mean(axis=(1, 2), dtype=np.float64)
        return np.stack([saturated, _medians(plane)], axis=1)


def _medians(planes: Array) -> npt.NDArray[np.float64]:
    """Give the median of every plane [H, W]: [N]."""
    return np.array([np.median(plane) for plane in planes], dtype=np.float64)
