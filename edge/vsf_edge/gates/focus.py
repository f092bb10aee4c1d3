"""Focus: how steep the edges of the cell are, and how much fine detail there is beside the coarse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsf_edge.gates.measure import Measure, MeasuresPlanes
from vsf_edge.gates.planes import PatchPlanes, Values, log_ratio, steepness, variance


@dataclass(frozen=True)
class Focus(MeasuresPlanes):
    """Out of focus an edge gets wider, whatever the contrast: both values are ratios within one patch."""

    version = "2"
    together = ""

    @property
    def measures(self) -> Sequence[Measure]:
        """Steepness of the edges, and detail."""
        return (
            Measure(
                name="edge_steepness",
                unit="log10 of 1/field px",
                too_low="out of focus: its edges are wider than those of the training cells",
                too_high="its edges are sharper than those of any training cell (not this microscope, or noise)",
                resolution=0.02,
            ),
            Measure(
                name="fine_detail",
                unit="log10",
                too_low="out of focus: fine detail is missing",
                too_high="it holds more fine detail or noise than the training cells",
                resolution=0.05,
            ),
        )

    def measure_planes(self, planes: PatchPlanes) -> Values:
        """Measure prepared patches: float64 [N, 2]."""
        return np.stack([planes.once(edge_steepness), log_ratio(planes.fine_detail, coarse_detail(planes))], axis=1)


def edge_steepness(planes: PatchPlanes) -> Values:
    """Give log10 of how steep the steepest edges of each patch are, as a share of its range, per field pixel: [N]."""
    count = len(planes.counts)
    contrast = np.maximum(np.ptp(planes.coarse_2.reshape(count, -1), axis=1), np.float32(1e-3))
    steep = steepness(planes.fine_1).reshape(count, -1) / contrast[:, None]
    # a mean in which only the steepest few places count, and many times quicker than a percentile
    eighth = np.square(np.square(np.square(steep)))
    return log_ratio(np.asarray(np.mean(eighth, axis=1, dtype=np.float64) ** 0.125), np.ones(count))


def coarse_detail(planes: PatchPlanes) -> Values:
    """Give the variance of what a blur of 4 field pixels leaves and one of 8 does not: [N]."""
    return variance(planes.coarse_4 - planes.coarse_8)
