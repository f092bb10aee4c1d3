"""Where things of a frame lie in its smaller picture, and stained patches put back to where their cells lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.frames import Detection
from vsf_edge.web.levels import Pixels

OUTLINE = (0.60, 0.42)
"""Half axes of a head's outline in lengths of the head, along it and across."""


FADE = 0.08
"""Share of a patch's side over which it fades at its border."""


@dataclass(frozen=True)
class Reduction:
    """A picture whose pixels are `factor` x `factor` pixels of the frame.

    A whole factor first, because that is ten times as quick as any other. What is left over at the right and at the
    bottom is not shown.
    """

    factor: int
    width: int
    height: int

    @classmethod
    def to_fit(cls, shape: tuple[int, int], side: int) -> Reduction:
        """Give the one that makes a frame of `shape` at most `side` pixels wide and high."""
        return cls.by(shape, max(1, math.ceil(max(shape) / side)))

    @classmethod
    def by(cls, shape: tuple[int, ...], factor: int) -> Reduction:
        """Give the one by `factor` of a plane of `shape` (height, width)."""
        height, width = shape
        return cls(factor, max(1, width // factor), max(1, height // factor))

    def place(self, position: float) -> float:
        """Give where a column or row of the frame lies in the picture; pixel centres are whole numbers in both."""
        return (position + 0.5) / self.factor - 0.5

    def apply(self, plane: Pixels) -> Pixels:
        """Make the plane [H, W] smaller: [height, width], means."""
        if self.factor == 1:
            return plane
        whole = plane[: self.height * self.factor, : self.width * self.factor]
        return np.asarray(cv2.resize(whole, (self.width, self.height), interpolation=cv2.INTER_AREA))


def put_back(
    canvas: npt.NDArray[np.uint8], patch: npt.NDArray[np.uint8], detection: Detection, reduction: Reduction, side: float
) -> None:
    """Put a cell's `patch` [h, w, C] back to where its cell lies; where patches overlap, the brighter one is seen.

    The outermost pixels fade, so that no square is seen around a cell.

    Parameters
    ----------
    canvas
        uint8 [H, W, C], the picture; written into.
    patch
        Head horizontal, tip to the right; not much finer than the picture, since it is read bilinearly.
    side
        Of the square in the frame that the patch was cut from, in pixels of the frame.
    """
    scale = side / patch.shape[1] / reduction.factor
    middle = (reduction.place(detection.x), reduction.place(detection.y))
    reach = side / reduction.factor / 2 * (abs(math.cos(detection.angle)) + abs(math.sin(detection.angle)))
    left, top = (max(0, math.floor(at - reach)) for at in middle)
    right, bottom = (min(size, math.ceil(at + reach) + 1) for at, size in zip(middle, canvas.shape[1::-1], strict=True))
    if right <= left or bottom <= top:
        return
    along, across = scale * math.cos(detection.angle), scale * math.sin(detection.angle)
    centre_x, centre_y = (patch.shape[1] - 1) / 2, (patch.shape[0] - 1) / 2
    matrix = np.array(
        [
            [along, -across, middle[0] - left - along * centre_x + across * centre_y],
            [across, along, middle[1] - top - across * centre_x - along * centre_y],
        ]
    )
    faded = cv2.multiply(patch, _fading(*patch.shape), scale=1 / 255)
    there = canvas[top:bottom, left:right]
    cv2.max(there, cv2.warpAffine(faded, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR), dst=there)


@cache
def _fading(height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    """Give 255 in the middle and less towards the border over `FADE` of the side: [height, width, channels]."""
    rows, columns = (
        np.clip(np.minimum(np.arange(size) + 0.5, size - 0.5 - np.arange(size)) / (FADE * size), 0, 1)
        for size in (height, width)
    )
    share = np.outer(rows, columns)[:, :, np.newaxis]
    return np.repeat(np.round(255 * share), channels, axis=2).astype(np.uint8)
