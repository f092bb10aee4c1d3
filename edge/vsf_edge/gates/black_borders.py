"""Black borders: the part of a rotated crop that lies outside the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vsf_edge.gates.measure import Measure, MeasuresPlanes
from vsf_edge.gates.planes import PatchPlanes, Values
from vsf_edge.interfaces import Array


@dataclass(frozen=True)
class BlackBorders(MeasuresPlanes):
    """Black pixels that hang together with a corner of the patch.

    What lies outside a field is cut off by a straight line, and a straight line that cuts a square leaves one of its
    corners outside. A dark head at the border touches no corner, or is not black there.

    Attributes
    ----------
    black
        Pixels up to this share of the full scale are black (4 of 255: what JPEG makes of 0).
    at_most
        Largest share of the patch that may be black; whatever the training cells look like.
    """

    black: float = 4 / 255
    at_most: float = 0.0002
    version = "1"
    together = ""

    @property
    def measures(self) -> Sequence[Measure]:
        """Share of the patch outside the field."""
        return (
            Measure(
                name="outside_field",
                unit="share of pixels",
                too_high="it has a black border: part of the patch lies outside the field",
                resolution=1e-4,
                at_most=self.at_most,
            ),
        )

    def measure_planes(self, planes: PatchPlanes) -> Values:
        """Measure prepared patches: float64 [N, 1]."""
        limit = np.float32(self.black + 1e-6)
        shares = [_outside(np.asarray(plane, dtype=np.float32), planes.full_scale, limit) for plane in planes.counts]
        return np.array(shares, dtype=np.float64).reshape(-1, 1)


def _outside(plane: Array, full_scale: float, limit: np.float32) -> float:
    """Give the share of `plane` [H, W], counts, that is at most `limit` of the full scale and touches a corner."""
    bottom, right = plane.shape[0] - 1, plane.shape[1] - 1
    scale = np.float32(full_scale)
    corners = [(y, x) for y in {0, bottom} for x in {0, right} if plane[y, x] / scale <= limit]
    if not corners:
        return 0.0
    _, pieces = cv2.connectedComponents((plane / scale <= limit).astype(np.uint8), connectivity=8)
    return float(np.isin(pieces, [pieces[corner] for corner in corners]).mean())
