"""Focus: how steep the edges of the cell are, and how much fine detail there is beside the coarse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsf_edge.gates.measure import Measure, blur, each_patch, log_ratio, steepness
from vsf_edge.interfaces import Array


@dataclass(frozen=True)
class Focus:
    """Out of focus an edge gets wider, whatever the contrast: both values are ratios within one patch."""

    version = "1"
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

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure `brightfield` [N, P, H, W], counts: float64 [N, 2]."""
        return each_patch(brightfield, full_scale, focus_of, 2)


def focus_of(plane: Array) -> tuple[float, float]:
    """Give log10 of the steepness of the edges of `plane` [H, W], as a share of its range, and of fine over coarse."""
    smooth = blur(plane, 1.0)
    low, high = np.percentile(smooth, (0.5, 99.5))
    edges = log_ratio(float(np.percentile(steepness(smooth), 99)), max(float(high - low), 1e-3))
    coarse = blur(plane, 4.0)
    return edges, log_ratio(float(np.var(smooth - blur(plane, 2.0))), float(np.var(coarse - blur(plane, 8.0))))
