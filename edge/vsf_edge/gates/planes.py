"""A few patches made ready for all gates at once: shrunk, blurred, and each of that only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.interfaces import Array

T = TypeVar("T")
Values = npt.NDArray[np.float64]

FIELD_PATCH_PX = 150.0
"""Side of a cell's patch in field pixels (McCallum et al. 2019): lengths inside the gates are given for that size."""

FINE_PX, COARSE_PX = 128, 64
"""Sharpness is measured on patches shrunk to the one side (a cell's patch holds no finer detail), shapes on the other,
with a quarter of the pixels."""

TOGETHER = 16
"""Patches that are prepared at once: enough that calls cost little, few enough for the processor's cache."""

NOTHING = 1e-4
"""A signal below this share of the full scale (a fortieth of an 8-bit grey level) is none."""


@dataclass(frozen=True)
class PatchPlanes:
    """The middle planes of N patches; everything else is made when a gate first asks for it, and shared.

    Attributes
    ----------
    counts
        [N, H, W], as the camera gave them.
    full_scale
        The count that is saturated.
    """

    counts: npt.NDArray[np.generic]
    full_scale: float
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, work: Callable[[PatchPlanes], T]) -> T:
        """Give ``work(self)``, which is done only once however many gates need it."""
        name = f"{work.__module__}.{work.__qualname__}"
        if name not in self._made:
            self._made[name] = work(self)
        made: T = self._made[name]
        return made

    @cached_property
    def fine(self) -> Array:
        """Shares of the full scale, shrunk to :data:`FINE_PX` if larger: float32 [N, h, w]."""
        return _shrink(np.asarray(self.counts, dtype=np.float32), FINE_PX) / np.float32(self.full_scale)

    @cached_property
    def fine_1(self) -> Array:
        """`fine`, blurred by a Gaussian of 1 field pixel."""
        return _blur(self.fine, 1.0)

    @cached_property
    def fine_2(self) -> Array:
        """`fine`, blurred by 2 field pixels."""
        return _blur(self.fine, 2.0)

    @cached_property
    def coarse(self) -> Array:
        """Shares of the full scale, shrunk to :data:`COARSE_PX` if larger: float32 [N, h, w]."""
        return _shrink(self.fine, COARSE_PX)

    @cached_property
    def coarse_2(self) -> Array:
        """`coarse`, blurred by 2 field pixels."""
        return _blur(self.coarse, 2.0)

    @cached_property
    def coarse_4(self) -> Array:
        """`coarse`, blurred by 4 field pixels."""
        return _blur(self.coarse, 4.0)

    @cached_property
    def coarse_8(self) -> Array:
        """`coarse`, blurred by 8 field pixels."""
        return _blur(self.coarse, 8.0)

    @cached_property
    def level(self) -> Values:
        """Median brightness, a share of the full scale: [N]."""
        return median(self.coarse)

    @cached_property
    def fine_detail(self) -> Values:
        """Variance of what a blur of 1 field pixel leaves and one of 2 does not: [N]."""
        return variance(self.fine_1 - self.fine_2)


def prepared(brightfield: npt.NDArray[np.generic], full_scale: float) -> Iterator[PatchPlanes]:
    """Prepare `brightfield` [N, P, H, W], counts, a few patches at a time, in order."""
    for first in range(0, len(brightfield), TOGETHER):
        yield PatchPlanes(brightfield[first : first + TOGETHER, brightfield.shape[1] // 2], full_scale)


def steepness(planes: Array) -> Array:
    """Give the length of the gradient of `planes` [N, H, W], per field pixel: [N, h, w], without the outermost pixels.

    Zero where there are no others.
    """
    if min(planes.shape[1:]) < 3:
        return np.zeros((len(planes), 1, 1), dtype=np.float32)
    across = planes[:, 1:-1, 2:] - planes[:, 1:-1, :-2]
    down = planes[:, 2:, 1:-1] - planes[:, :-2, 1:-1]
    across *= across
    down *= down
    across += down
    return np.asarray(np.sqrt(across, out=across) * np.float32(planes.shape[1] / FIELD_PATCH_PX / 2), dtype=np.float32)


def median(planes: Array) -> Values:
    """Give the median of every second row and column of `planes` [N, H, W]: [N]."""
    return np.asarray(np.median(planes[:, ::2, ::2].reshape(len(planes), -1), axis=1), dtype=np.float64)


def variance(planes: Array) -> Values:
    """Give the variance of every plane of `planes` [N, H, W]: [N]."""
    flat = planes.reshape(len(planes), -1)
    away = flat - flat.mean(axis=1, keepdims=True)
    # summed in pairs, which does not depend on where a patch lies in memory, and so on its company
    return np.asarray(np.mean(away * away, axis=1), dtype=np.float64)


def log_ratio(top: Values, bottom: Values) -> Values:
    """Give log10(top / bottom), both at least :data:`NOTHING` squared, so that blank images give a number."""
    floor = NOTHING**2
    return np.asarray(np.log10(np.maximum(top, floor) / np.maximum(bottom, floor)), dtype=np.float64)


def _shrink(planes: Array, side: int) -> Array:
    height, width = planes.shape[1:]
    scale = side / max(height, width)
    if scale >= 1:
        return planes
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = np.empty((len(planes), size[1], size[0]), dtype=np.float32)
    for plane, small in zip(planes, shrunk, strict=True):
        small[:] = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return shrunk


def _blur(planes: Array, field_px: float) -> Array:
    """Blur `planes` [N, H, W] by a Gaussian of `field_px` field pixels (at least half a pixel of the patch)."""
    sigma = max(0.5, field_px * planes.shape[1] / FIELD_PATCH_PX)
    side = 2 * round(3 * sigma) + 1
    blurred = np.empty_like(planes)
    for plane, smooth in zip(planes, blurred, strict=True):
        smooth[:] = cv2.GaussianBlur(plane, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)
    return blurred
