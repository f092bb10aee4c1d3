"""Cuts the patches of the heads out of a frame, as they are cut out of a field for training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.frames import Detection
from vsf_edge.interfaces import Array


def crop(frame: npt.NDArray[np.generic], heads: Sequence[Detection], field_px: int, size: int) -> Array:
    """Cut one patch per head out of `frame` [H, W]: the head in the middle, horizontal, with its tip to the right.

    As in vsframework (``vsframework.dataset.geometry``): a square of `field_px` pixels is turned into place, bilinear,
    and then resized, bilinear where it grows and area-averaged where it shrinks.

    Parameters
    ----------
    field_px
        Side of the square around the middle of a head, in pixels of the frame.
    size
        Side of the model's patch, in pixels.

    Returns
    -------
    float32 [N, 1, size, size] in the counts of `frame`, in the order of `heads`; beyond the border its edge is
    repeated.
    """
    patches = np.empty((len(heads), 1, size, size), dtype=np.float32)
    method = cv2.INTER_AREA if field_px > size else cv2.INTER_LINEAR
    for patch, head in zip(patches[:, 0], heads, strict=True):
        upright = _upright(frame, head, field_px)
        patch[:] = upright if field_px == size else cv2.resize(upright, (size, size), interpolation=method)
    return patches


def _upright(frame: npt.NDArray[np.generic], head: Detection, field_px: int) -> Array:
    # only what is needed becomes float32: a whole frame would take longer than all its heads
    reach = math.ceil(field_px / math.sqrt(2)) + 2
    left, right = _within(head.x, reach, frame.shape[1])
    top, bottom = _within(head.y, reach, frame.shape[0])
    around = frame[top:bottom, left:right].astype(np.float32)
    cosine, sine = math.cos(head.angle), math.sin(head.angle)
    x, y, centre = head.x - left, head.y - top, (field_px - 1) / 2
    matrix = np.array(
        [
            [cosine, sine, centre - cosine * x - sine * y],
            [-sine, cosine, centre + sine * x - cosine * y],
        ]
    )
    square = (field_px, field_px)
    turned = cv2.warpAffine(around, matrix, square, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, dtype=np.float32)


def _within(middle: float, reach: int, length: int) -> tuple[int, int]:
    """Give first and last + 1 of the pixels within `reach` of `middle`, of a side of `length` pixels; at least one."""
    first = min(max(0, math.floor(middle) - reach), length - 1)
    return first, max(first + 1, min(length, math.ceil(middle) + reach + 1))
