"""Black borders: the part of a rotated crop that lies outside the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.gates.measure import Measure, middle_plane
from vsf_edge.interfaces import Array


@dataclass(frozen=True)
class BlackBorders:
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

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure `brightfield` [N, P, H, W], counts: float64 [N, 1]."""
        shares = [self._outside(plane) for plane in middle_plane(brightfield, full_scale)]
        return np.array(shares, dtype=np.float64).reshape(-1, 1)

    def _outside(self, plane: Array) -> float:
        black = (plane <= self.black + 1e-6).astype(np.uint8)
        corners = {(y, x) for y in (0, plane.shape[0] - 1) for x in (0, plane.shape[1] - 1) if black[y, x]}
        if not corners:
            return 0.0
        _, pieces = cv2.connectedComponents(black, connectivity=8)
        return float(np.isin(pieces, [pieces[corner] for corner in corners]).mean())
