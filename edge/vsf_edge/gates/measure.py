"""What a gate says about the values it measures, and the plane it measures them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.interfaces import Array

FIELD_PATCH_PX = 150.0
"""Side of a cell's patch in field pixels (McCallum et al. 2019): lengths inside the gates are given for that size."""

LARGEST_PX = 128
"""Shapes and sharpness are measured on patches shrunk to this side: a cell's patch holds no finer detail."""

NOTHING = 1e-4
"""A signal below this share of the full scale (a fortieth of an 8-bit grey level) is none."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One value of a gate.

    Attributes
    ----------
    name, unit
        As in the trust table; "1" for a ratio.
    too_low, too_high
        What is wrong with a cell whose value lies below or above the accepted ones; empty where that side is fine.
    resolution
        Differences smaller than this mean nothing; keeps thresholds apart where all training cells look the same.
    at_most
        An upper limit that holds whatever the training data look like; None to learn it.
    """

    name: str
    unit: str
    too_low: str = ""
    too_high: str = ""
    resolution: float
    at_most: float | None = None


def middle_plane(brightfield: npt.NDArray[np.generic], full_scale: float) -> Array:
    """Give the middle plane of `brightfield` [N, P, H, W], counts, as a share of the full scale: float32 [N, H, W]."""
    plane = np.asarray(brightfield[:, brightfield.shape[1] // 2], dtype=np.float32)
    return np.asarray(plane / np.float32(full_scale), dtype=np.float32)


def each_patch(
    brightfield: npt.NDArray[np.generic],
    full_scale: float,
    values: Callable[[Array], tuple[float, ...]],
    count: int,
) -> npt.NDArray[np.float64]:
    """Call `values` with the middle plane [H, W] of every patch, shrunk to :data:`LARGEST_PX`: float64 [N, count]."""
    rows = [values(_shrink(plane)) for plane in middle_plane(brightfield, full_scale)]
    return np.array(rows, dtype=np.float64).reshape(len(brightfield), count)


def _shrink(plane: Array) -> Array:
    height, width = plane.shape
    scale = LARGEST_PX / max(height, width)
    if scale >= 1:
        return plane
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def blur(plane: Array, field_px: float) -> Array:
    """Blur `plane` [H, W] by a Gaussian of `field_px` field pixels (at least half a pixel of the patch)."""
    sigma = max(0.5, field_px * plane.shape[0] / FIELD_PATCH_PX)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), dtype=np.float32)


def steepness(plane: Array) -> Array:
    """Give the length of the gradient of `plane` [H, W], per field pixel."""
    per_px = plane.shape[0] / FIELD_PATCH_PX / 8  # a Sobel kernel sums to 8
    across = cv2.Sobel(plane, cv2.CV_32F, 1, 0, scale=per_px, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(plane, cv2.CV_32F, 0, 1, scale=per_px, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.magnitude(across, down), dtype=np.float32)


def frame(plane: Array, share: float) -> npt.NDArray[np.bool_]:
    """Say which pixels of `plane` [H, W] lie in the frame that is `share` of the side wide."""
    height, width = plane.shape
    down, across = max(1, round(share * height)), max(1, round(share * width))
    mask = np.ones(plane.shape, dtype=np.bool_)
    mask[down : height - down, across : width - across] = False
    return mask


def log_ratio(top: float, bottom: float) -> float:
    """Give log10(top / bottom), both at least :data:`NOTHING` squared, so that blank images give a number."""
    floor = NOTHING**2
    return float(np.log10(max(top, floor) / max(bottom, floor)))
