"""From a stained field to its nuclei: threshold, split, and measure each piece."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from skimage.feature import peak_local_max
from skimage.measure import regionprops
from skimage.segmentation import watershed

from vsframework.interfaces import ImageArray

WORKING_LENGTH = 40.0
"""Length that a typical nucleus gets, in working pixels."""

BACKGROUND_BLOCK, BACKGROUND_WINDOW = 8, 31
"""The background is the median over 31 blocks of 8 working pixels: six nuclei wide, so that none is part of it."""

DISC = 0.25
"""Diameter of the disc that tails do not survive, in lengths."""

APART = 0.4
"""Least distance of the middles of two nuclei, in lengths."""

OWN_LEVEL = 0.08
"""A nucleus ends where it is this much as bright as its bright part."""

SHORTEST, LONGEST, LEAST_SOLIDITY = 0.5, 1.5, 0.85
"""Lengths of nuclei, relative to the typical one, and their area in that of their convex hull."""

FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Nucleus:
    """A nucleus in field pixels; `contrast` is its brightness over the threshold, 1 or more."""

    x: float
    y: float
    direction: float
    length: float
    brighter_ahead: bool
    contrast: float


def find_nuclei(field: ImageArray, length: float, contrast: float) -> Iterator[Nucleus]:
    """Find the nuclei of about `length` pixels in `field` [H, W], finite counts; see :class:`Nuclei`."""
    if min(field.shape) < length:
        return
    scale = WORKING_LENGTH / length
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shrunk = cv2.resize(field.astype(np.float32), None, fx=scale, fy=scale, interpolation=interpolation)
    relief = cv2.GaussianBlur(shrunk - _background(shrunk), (0, 0), 0.02 * WORKING_LENGTH).astype(np.float32)
    threshold = contrast * _noise(relief)
    if threshold <= 0:
        return
    to_field_x, to_field_y = field.shape[1] / shrunk.shape[1], field.shape[0] / shrunk.shape[0]
    for mask, (top, left) in _pieces(relief, threshold):
        rows, columns = slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1])
        found = _measure(relief[rows, columns], mask, threshold)
        if found is None or not SHORTEST * WORKING_LENGTH <= found.length <= LONGEST * WORKING_LENGTH:
            continue
        yield Nucleus(
            x=(found.x + left + 0.5) * to_field_x - 0.5,
            y=(found.y + top + 0.5) * to_field_y - 0.5,
            direction=found.direction,
            length=found.length / scale,
            brighter_ahead=found.brighter_ahead,
            contrast=found.contrast,
        )


def _background(shrunk: npt.NDArray[np.generic]) -> FloatImage:
    height, width = shrunk.shape
    size = (max(3, width // BACKGROUND_BLOCK), max(3, height // BACKGROUND_BLOCK))
    blocks = cv2.resize(np.asarray(shrunk, np.float32), size, interpolation=cv2.INTER_AREA)
    window = min(BACKGROUND_WINDOW, (min(size) - 1) // 2 * 2 + 1)
    # OpenCV's large median is for 8 bit: the dark end of the range is what it must resolve
    low, high = float(blocks.min()), float(np.median(blocks)) * 2 - float(blocks.min())
    step = max((high - low) / 255, 1e-9)
    levels = np.clip((blocks - low) / step, 0, 255).round().astype(np.uint8)
    smooth = cv2.medianBlur(levels, window).astype(np.float32) * step + low
    return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _noise(relief: FloatImage) -> float:
    """Give the spread of the empty field; not less than what rounding of its counts or of float32 leaves."""
    spread = 1.4826 * float(np.median(np.abs(relief - np.median(relief))))
    return max(spread, 0.002 * float(np.ptp(relief)))


def _pieces(relief: FloatImage, threshold: float) -> Iterator[tuple[npt.NDArray[np.bool_], tuple[int, int]]]:
    """Give the mask of each piece and where its box lies (top, left); none that touches the border."""
    bright = _without_tails(relief > threshold)
    deep = cv2.GaussianBlur(cv2.distanceTransform(bright, cv2.DIST_L2, 5), (0, 0), 1.5)
    apart = round(APART * WORKING_LENGTH)
    peaks = peak_local_max(deep, min_distance=apart, labels=bright, exclude_border=False)  # type: ignore[no-untyped-call]
    seeds = np.zeros(relief.shape, dtype=np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    pieces = watershed(-deep, seeds, mask=bright.astype(bool))  # type: ignore[no-untyped-call]
    for region in regionprops(pieces):  # type: ignore[no-untyped-call]
        top, left, bottom, right = region.bbox
        if top > 0 and left > 0 and bottom < relief.shape[0] and right < relief.shape[1]:
            yield region.image, (top, left)


def _without_tails(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    side = round(DISC * WORKING_LENGTH) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(opened, dtype=np.uint8)


def _measure(relief: FloatImage, mask: npt.NDArray[np.bool_], threshold: float) -> Nucleus | None:
    """Measure what is bright enough of a piece, in working pixels of its box; None where that is no nucleus."""
    bright = float(np.percentile(relief[mask], 90))
    # the midpiece of a bright nucleus is over the threshold too
    own = _without_tails(mask & (relief > max(threshold, OWN_LEVEL * bright)))
    regions = regionprops(own, intensity_image=relief)  # type: ignore[no-untyped-call]
    if not regions or regions[0].solidity < LEAST_SOLIDITY:
        return None
    region = regions[0]
    direction = math.atan2(math.cos(region.orientation), math.sin(region.orientation))
    (y, x), (bright_y, bright_x) = region.centroid, region.centroid_weighted
    ahead = (bright_x - x) * math.cos(direction) + (bright_y - y) * math.sin(direction)
    length = float(region.axis_major_length)
    return Nucleus(float(x), float(y), direction, length, bool(ahead > 0), bright / threshold)
