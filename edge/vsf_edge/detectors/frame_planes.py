"""A live frame made small: a plane to read outlines from, and a quarter of that, flattened, to search for heads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.interfaces import Array

READING_LENGTH, SEARCH_LENGTH, BLOCKS_LENGTH = 50, 12.5, 6.25
"""Length of a head, about, in pixels of the plane that outlines are read from, of the one that is searched, and of the
one that the background is made of. Planes shrink by whole numbers: that is ten times as fast as any other factor."""

BACKGROUND_WINDOW = 31
"""The background is the median over 31 blocks, five heads wide, so that no head is part of it."""

CAMERA_TYPES = (np.uint8, np.uint16, np.float32)
"""What OpenCV shrinks as it is."""


@dataclass(frozen=True)
class FramePlanes:
    """A frame, prepared.

    Attributes
    ----------
    reading
        [h, w], the frame shrunk by `factor`, in counts.
    search
        float32, counts above (halo) or below (head) the local background; shrunk again, by `search_factor`.
    background
        float32, counts; shrunk again, by `background_factor` in all from `reading`.
    length
        Length of a typical head in pixels of `reading`.
    noise
        Standard deviation of `reading` where there is nothing, counts; 0 where the frame is black.
    """

    reading: npt.NDArray[Any]
    search: Array
    background: Array
    factor: int
    search_factor: int
    background_factor: int
    length: float
    noise: float

    def relief(self, x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> Array:
        """Read counts above the background at pixels `x`, `y` of `reading`, any equal shape; outside, its nearest."""
        columns, rows = (at.reshape(-1, at.shape[-1]).astype(np.float32, copy=False) for at in (x, y))
        counts = _sample(self.reading, columns, rows)
        scale = np.float32(1 / self.background_factor)
        off = np.float32(0.5 * scale - 0.5)
        relief = np.subtract(
            counts, _sample(self.background, columns * scale + off, rows * scale + off), dtype=np.float32
        )
        return np.asarray(relief.reshape(x.shape))


def frame_planes(frame: npt.NDArray[np.generic], head_length: float) -> FramePlanes | None:
    """Prepare `frame` [H, W] for heads of about `head_length` pixels; None where no head would fit.

    At the right and lower border `reading` may lack up to a fiftieth of a head, and `search` a sixth, in which the
    middle of no whole head lies.
    """
    if min(frame.shape) < head_length:
        return None
    factor = max(1, round(head_length / READING_LENGTH))
    length = head_length / factor
    search_factor = max(1, round(length / SEARCH_LENGTH))
    reading = _shrink(frame if frame.dtype in CAMERA_TYPES else frame.astype(np.float32), factor)
    # on the way down, rounding of integer counts must stay below the noise, and a float plane is slow to make
    first = 2 if search_factor % 2 == 0 else 1
    small = _shrink(_shrink(reading, first).astype(np.float32), search_factor // first)
    background = _background(small)
    rows, columns = 2 * background.shape[0], 2 * background.shape[1]
    light = cv2.resize(background, (columns, rows), interpolation=cv2.INTER_LINEAR)
    search = np.asarray(small[:rows, :columns] - light, dtype=np.float32)
    # the floors are for frames without noise: rounding is no structure
    darkest, brightest = _ends(search[::4, ::4], 0.005)
    noise = max(_noise(reading), 0.005 * (brightest - darkest), 1e-4 * float(np.abs(background).max()))
    return FramePlanes(reading, search, background, factor, search_factor, 2 * search_factor, length, noise)


def _shrink(plane: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    if factor == 1:
        return plane
    height, width = plane.shape[0] // factor, plane.shape[1] // factor
    whole = plane[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))


def _background(small: Array) -> Array:
    blocks = _shrink(small, 2)
    # OpenCV's large median is for 8 bit: twice the usual range, and not what a glaring speck of dirt makes of it
    low, high = _ends(blocks[::4, ::4], 0.02)
    low, step = low - (high - low) / 2, max((high - low) / 127.5, 1e-9)
    levels = np.clip((blocks - low) / step, 0, 255).round().astype(np.uint8)
    window = min(BACKGROUND_WINDOW, (min(levels.shape) - 1) // 2 * 2 + 1)
    smooth = cv2.medianBlur(levels, window).astype(np.float32) * np.float32(step) + np.float32(low)
    return np.asarray(cv2.blur(smooth, (5, 5)), dtype=np.float32)


def _ends(counts: Array, share: float) -> tuple[float, float]:
    """Give the counts below and above which a `share` of them lies."""
    off = int(share * (counts.size - 1))
    ordered = np.partition(counts, (off, counts.size - 1 - off), axis=None)
    return float(ordered[off]), float(ordered[-1 - off])


def _noise(reading: npt.NDArray[Any]) -> float:
    """Estimate the noise from pixels two apart: structures are few, so the median difference knows nothing of them."""
    apart = np.abs(np.subtract(reading[::8, 2::4], reading[::8, :-2:4], dtype=np.float32))
    return float(np.median(apart)) * 1.4826 / math.sqrt(2)


def _sample(plane: npt.NDArray[Any], columns: Array, rows: Array) -> npt.NDArray[Any]:
    return np.asarray(cv2.remap(plane, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
