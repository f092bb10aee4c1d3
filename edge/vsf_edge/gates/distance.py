"""Distance to the training distribution: how unusual a handful of plain features are together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsf_edge.gates.focus import focus_of
from vsf_edge.gates.head import outline_of
from vsf_edge.gates.measure import Measure, blur, each_patch, log_ratio
from vsf_edge.interfaces import Array

RINGS = (0.16, 0.27, 0.38)
"""Outer radii of the middle and of two rings around it, as a share of the side; the rest is the surroundings."""


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
class Distance:
    """Features that say what kind of image this is; only their combination is judged (Mahalanobis distance).

    Brightness and noise are left to the other gates: here everything is relative to the contrast of the patch.
    """

    version = "1"
    together = "it looks unlike the cells that the model was trained on"

    @property
    def measures(self) -> Sequence[Measure]:
        """Contrast, asymmetry of the grey values, brightness by radius, texture, focus, and the outline."""
        return tuple(Measure(name=name, unit="1", resolution=0.02) for name in FEATURES)

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure `brightfield` [N, P, H, W], counts: float64 [N, 11]."""
        return each_patch(brightfield, full_scale, _values, len(FEATURES))


def _values(plane: Array) -> tuple[float, ...]:
    smooth = blur(plane, 1.0)
    level = float(np.median(smooth))
    spread = max(float(smooth.std()), 1e-3)
    standard = np.clip((smooth - level) / spread, -6, 6)
    dark, bright = np.percentile(standard, (5, 95))
    height, width = plane.shape
    rows, columns = np.ogrid[:height, :width]
    radius = np.hypot((rows - (height - 1) / 2) / height, (columns - (width - 1) / 2) / width)
    outer = standard[radius > RINGS[-1]]
    surroundings = float(np.median(outer)) if outer.size else 0.0
    inside, rings = 0.0, []
    for outside in RINGS:
        ring = standard[(radius > inside) & (radius <= outside)]
        rings.append(float(ring.mean()) - surroundings if ring.size else 0.0)
        inside = outside
    fine, coarse = smooth - blur(plane, 2.5), blur(plane, 2.5) - blur(plane, 6.0)
    outline = outline_of(plane)
    return (
        float(np.log10(spread / max(level, 1e-3))),
        float(np.cbrt((standard**3).mean())),
        float(dark + bright),
        *rings,
        0.5 * log_ratio(float(fine.var()), float(coarse.var())),
        0.5 * log_ratio(float((plane - smooth).var()), float(fine.var())),
        focus_of(plane)[0],
        float(np.log(outline.radius)),
        float(np.log(outline.elongation)),
    )
