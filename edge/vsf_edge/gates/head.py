"""The head: one, whole, in the middle of the patch, and of the size and shape that the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.gates.measure import Measure, MeasuresPlanes
from vsf_edge.gates.planes import PatchPlanes, Values, median, steepness
from vsf_edge.interfaces import Array

FRAME = 0.11
"""Width of the outer frame, as a share of the side: a centred head of usual size does not reach it."""

RAYS, STEPS = 64, 48
"""The outline is looked for along this many rays from the middle, in this many steps to the side of the patch."""

NEAREST = 5
"""Steps from the middle within which no outline is looked for (a tenth of the half side)."""


@dataclass(frozen=True)
class Head(MeasuresPlanes):
    """The outline of what lies in the middle: along each ray, where dark turns to bright most steeply outwards.

    A ray always finds something, also in an image without a head; that the steps agree with each other, that they are
    steep, and how far away they lie, tells a head from anything else.
    """

    version = "2"
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

    def measure_planes(self, planes: PatchPlanes) -> Values:
        """Measure prepared patches: float64 [N, 7]."""
        found = planes.once(outlines_of)
        shape = (found.contrast, found.radius, found.elongation, found.off_centre, found.ragged, found.inner_edges)
        return np.stack([*shape, _share_at_border(steepness(planes.coarse_2))], axis=1)


def _share_at_border(edges: Array) -> Values:
    """Give the share of the `edges` [N, H, W], those over twice the usual, that lies in the outer frame: [N]."""
    weights = np.square(np.maximum(edges - 2 * median(edges)[:, None, None].astype(np.float32), 0))
    down, across = (max(1, round(FRAME * side)) for side in weights.shape[1:])
    within = weights[:, down : weights.shape[1] - down, across : weights.shape[2] - across]
    total = weights.sum(axis=(1, 2), dtype=np.float64)
    return np.asarray((total - within.sum(axis=(1, 2), dtype=np.float64)) / np.maximum(total, 1e-30))


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """The outlines of what lies in the middle of N patches, [N] each; see the measures of :class:`Head`."""

    contrast: Values
    radius: Values
    elongation: Values
    off_centre: Values
    ragged: Values
    inner_edges: Values


def outlines_of(planes: PatchPlanes) -> Outlines:
    """Look for an outline in each patch."""
    rays = _rays(planes.coarse_2) / np.maximum(planes.level, 1e-3).astype(np.float32)[:, None, None]
    rise = np.zeros_like(rays)
    rise[:, :, 2:-2] = rays[:, :, 4:] - rays[:, :, :-4]
    # the halo outside a head is brighter than the background; most edges inside a head are not
    lit = np.roll(rays, -2, axis=2) > 1
    searched = (rise * np.where(lit, np.float32(1), np.float32(0.25)))[:, :, NEAREST : STEPS - 2]
    # of several steep places the outermost: a bright acrosome has an edge inside the head
    steep = searched >= 0.6 * searched.max(axis=2, keepdims=True)
    steps = NEAREST + steep.shape[2] - 1 - steep[:, :, ::-1].argmax(axis=2)
    radii = steps / (2 * STEPS)
    radius = np.median(radii, axis=1)
    contrast = np.median(np.take_along_axis(rise, steps[..., None], axis=2)[..., 0], axis=1).astype(np.float64)
    tip, below, above = (np.median(radii[:, _around(ray)], axis=1) for ray in (0, RAYS // 4, 3 * RAYS // 4))
    turn = np.exp(2j * np.pi * np.arange(RAYS) / RAYS)
    within = np.arange(STEPS) < 0.75 * steps[..., None]
    inner = np.where(within, np.abs(rise), 0).max(axis=2)
    return Outlines(
        contrast=contrast,
        radius=radius,
        elongation=2 * tip / (below + above),  # the tail hides the fourth side
        off_centre=np.abs((radii * turn).mean(axis=1)) / radius,
        ragged=np.abs(radii - np.roll(radii, 2, axis=1)).mean(axis=1) / radius,
        inner_edges=np.quantile(inner, 0.85, axis=1) / np.maximum(contrast, 0.02),
    )


def _rays(planes: Array) -> Array:
    """Read `planes` [N, H, W] along rays from the middle: [N, RAYS, STEPS], the first to the right, then clockwise."""
    x, y = _places(*planes.shape[1:])
    # not cv2.warpPolar: what it reads beyond the border of a small patch is whatever lay in memory
    rays = [cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for plane in planes]
    return np.asarray(rays, dtype=np.float32).reshape(-1, RAYS, STEPS)


@cache
def _places(height: int, width: int) -> tuple[Array, Array]:
    """Give where the rays read a plane [height, width]: x and y, each [RAYS, STEPS]."""
    away = np.arange(STEPS) * (min(height, width) / 2 / STEPS)
    turn = 2 * np.pi * np.arange(RAYS)[:, None] / RAYS
    x, y = (width - 1) / 2 + np.cos(turn) * away, (height - 1) / 2 + np.sin(turn) * away
    return x.astype(np.float32), y.astype(np.float32)


def _around(ray: int) -> npt.NDArray[np.intp]:
    """Give the rays within 22 degrees of `ray`."""
    return np.arange(ray - 4, ray + 5) % RAYS
