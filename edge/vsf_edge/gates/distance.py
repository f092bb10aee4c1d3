"""Distance to the training distribution: how unusual a handful of plain features are together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from vsf_edge.gates.focus import edge_steepness
from vsf_edge.gates.head import outlines_of
from vsf_edge.gates.measure import Measure, MeasuresPlanes
from vsf_edge.gates.planes import PatchPlanes, Values, log_ratio, variance
from vsf_edge.interfaces import Array

RINGS = (0.16, 0.27, 0.38)
"""Outer radii of the middle and of two rings around it, as a share of the side; the rest is the surroundings."""

QUANTILE_STEP = 5
"""Quantiles are taken over every fifth pixel; no multiple of a patch's side, so that no column is preferred."""

FEATURES = (
    "contrast",
    "asymmetry",
    "dark_tail",
    "middle",
    "inner_ring",
    "outer_ring",
    "texture",
    "grain",
    "edge_steepness",
    "outline_radius",
    "elongation",
)


@dataclass(frozen=True)
class Distance(MeasuresPlanes):
    """Features that say what kind of image this is; only their combination is judged (Mahalanobis distance).

    Brightness and noise are left to the other gates: here everything is relative to the contrast of the patch.
    """

    version = "2"
    together = "it looks unlike the cells that the model was trained on"

    @property
    def measures(self) -> Sequence[Measure]:
        """Contrast, asymmetry of the grey values, brightness by radius, texture, focus, and the outline."""
        return tuple(Measure(name=name, unit="1", resolution=0.02) for name in FEATURES)

    def measure_planes(self, planes: PatchPlanes) -> Values:
        """Measure prepared patches: float64 [N, 11]."""
        smooth, level = planes.coarse, planes.level
        spread = np.maximum(np.sqrt(variance(smooth)), 1e-3)
        away = (smooth - level[:, None, None].astype(np.float32)) / spread[:, None, None].astype(np.float32)
        standard = np.asarray(np.clip(away, -6, 6), dtype=np.float32).reshape(len(smooth), -1)
        dark, bright = np.quantile(standard[:, ::QUANTILE_STEP], (0.05, 0.95), axis=1)
        surroundings, rings = _by_radius(standard, smooth.shape[1:])
        outlines = planes.once(outlines_of)
        features = (
            np.log10(spread / np.maximum(level, 1e-3)),
            np.cbrt((standard * standard * standard).mean(axis=1)),
            dark + bright,
            *(rings - surroundings),
            0.5 * log_ratio(planes.fine_detail, variance(planes.coarse_2 - planes.coarse_4)),
            0.5 * log_ratio(variance(planes.fine - planes.fine_1), planes.fine_detail),
            planes.once(edge_steepness),
            np.log(outlines.radius),
            np.log(outlines.elongation),
        )
        return np.stack(features, axis=1, dtype=np.float64)


def _by_radius(standard: Array, shape: tuple[int, int]) -> tuple[Values, Values]:
    """Give the median [N] of what surrounds the rings, and the means [3, N] of the rings, of `standard` [N, H * W]."""
    surroundings, rings = _masks(shape)
    around = standard[:, surroundings]
    middle = np.median(around, axis=1) if around.shape[1] else np.zeros(len(standard))
    return np.asarray(middle, dtype=np.float64), np.asarray(rings @ standard.T.astype(np.float64), dtype=np.float64)


@cache
def _masks(shape: tuple[int, int]) -> tuple[npt.NDArray[np.intp], Values]:
    """Give which pixels lie outside of the rings (every third), and what each pixel counts in the mean of each ring."""
    height, width = shape
    rows, columns = np.ogrid[:height, :width]
    radius = np.hypot((rows - (height - 1) / 2) / height, (columns - (width - 1) / 2) / width).ravel()
    inside, rings = 0.0, []
    for outside in RINGS:
        ring = (radius > inside) & (radius <= outside)
        rings.append(ring / np.float64(max(1, int(ring.sum()))))
        inside = outside
    return np.flatnonzero(radius > RINGS[-1])[::3], np.array(rings, dtype=np.float64)
