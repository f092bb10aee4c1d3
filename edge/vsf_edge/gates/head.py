"""The head: one, whole, in the middle of the patch, and of the size and shape that the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.gates.measure import Measure, blur, each_patch, frame, steepness
from vsf_edge.interfaces import Array

FRAME = 0.11
"""Width of the outer frame, as a share of the side: a centred head of usual size does not reach it."""

RAYS, STEPS = 64, 48
"""The outline is looked for along this many rays from the middle, in this many steps to the side of the patch."""

NEAREST = 5
"""Steps from the middle within which no outline is looked for (a tenth of the half side)."""


@dataclass(frozen=True)
class Head:
    """The outline of what lies in the middle: along each ray, where dark turns to bright most steeply outwards.

    A ray always finds something, also in an image without a head; that the steps agree with each other, that they are
    steep, and how far away they lie, tells a head from anything else.
    """

    version = "1"
    together = ""

    @property
    def measures(self) -> Sequence[Measure]:
        """Contrast, size, shape and place of the outline, and what else is in the patch."""
        return (
            Measure(
                name="outline_contrast",
                unit="share of brightness",
                too_low="no outline of a head is in the middle of it",
                too_high="its outline has more contrast than that of the training cells",
                resolution=0.02,
            ),
            Measure(
                name="outline_radius",
                unit="share of the side",
                too_low="what is in it is smaller than the heads trained on",
                too_high="what is in it is larger than the heads trained on",
                resolution=0.01,
            ),
            Measure(
                name="elongation",
                unit="1",
                too_low="what is in it is rounder than the heads trained on, or turned",
                too_high="what is in it is longer than the heads trained on",
                resolution=0.05,
            ),
            Measure(
                name="off_centre",
                unit="1",
                too_high="the head is not in the middle: truncated, or beside another one",
                resolution=0.02,
            ),
            Measure(
                name="ragged",
                unit="1",
                too_high="no closed outline: truncated, overlapped, or no head",
                resolution=0.01,
            ),
            Measure(
                name="inner_edges",
                unit="1",
                too_high="edges cross the head: another cell or dirt lies over it",
                resolution=0.05,
            ),
            Measure(
                name="at_border",
                unit="share of the edges",
                too_high="truncated or overlapped: too much of what is in it lies at the border of the patch",
                resolution=0.02,
            ),
        )

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure `brightfield` [N, P, H, W], counts: float64 [N, 7]."""
        return each_patch(brightfield, full_scale, _values, 7)


def _values(plane: Array) -> tuple[float, ...]:
    edges = steepness(blur(plane, 2.0))
    weight = np.square(np.maximum(edges - 2 * np.median(edges), 0))
    total = float(weight.sum())
    at_border = float(weight[frame(plane, FRAME)].sum()) / total if total > 0 else 0.0
    found = outline_of(plane)
    return found.contrast, found.radius, found.elongation, found.off_centre, found.ragged, found.inner_edges, at_border


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The outline of what lies in the middle of a patch; see the measures of :class:`Head`."""

    contrast: float
    radius: float
    elongation: float
    off_centre: float
    ragged: float
    inner_edges: float


def outline_of(plane: Array) -> Outline:
    """Look for an outline in `plane` [H, W], a share of the full scale."""
    rays = _rays(blur(plane, 2.0) / np.float32(max(float(np.median(plane)), 1e-3)))
    rise = np.zeros_like(rays)
    rise[:, 2:-2] = rays[:, 4:] - rays[:, :-4]
    # the halo outside a head is brighter than the background; most edges inside a head are not
    lit = np.roll(rays, -2, axis=1) > 1
    searched = (rise * np.where(lit, 1.0, 0.25))[:, NEAREST : STEPS - 2]
    # of several steep places the outermost: a bright acrosome has an edge inside the head
    steep = searched >= 0.6 * searched.max(axis=1, keepdims=True)
    steps = NEAREST + steep.shape[1] - 1 - steep[:, ::-1].argmax(axis=1)
    radii = steps / (2 * STEPS)
    radius, contrast = float(np.median(radii)), float(np.median(rise[np.arange(RAYS), steps]))
    tip, below, above = (float(np.median(radii[_around(ray)])) for ray in (0, RAYS // 4, 3 * RAYS // 4))
    turn = np.exp(2j * np.pi * np.arange(RAYS) / RAYS)
    within = np.arange(STEPS)[None, :] < 0.75 * steps[:, None]
    inner = np.where(within, np.abs(rise), 0).max(axis=1)
    return Outline(
        contrast=contrast,
        radius=radius,
        elongation=2 * tip / (below + above),  # the tail hides the fourth side
        off_centre=float(np.abs((radii * turn).mean())) / radius,
        ragged=float(np.abs(radii - np.roll(radii, 2)).mean()) / radius,
        inner_edges=float(np.quantile(inner, 0.85)) / max(contrast, 0.02),
    )


def _rays(plane: Array) -> npt.NDArray[np.float64]:
    """Read `plane` [H, W] along rays from its middle: [RAYS, STEPS], the first to the right, then clockwise."""
    height, width = plane.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    rays = cv2.warpPolar(plane, (STEPS, RAYS), middle, min(height, width) / 2, cv2.INTER_LINEAR)
    return np.asarray(rays, dtype=np.float64)


def _around(ray: int) -> npt.NDArray[np.intp]:
    """Give the rays within 22 degrees of `ray`."""
    return np.arange(ray - 4, ray + 5) % RAYS
