"""Where a patch lies in its field: 3x3 matrices between field, crop and patch pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsframework.interfaces import Detection

Matrix = npt.NDArray[np.float64]


def resize_matrix(source: tuple[int, int], size: int) -> Matrix:
    """Give the matrix from pixels of an image of shape `source` (H, W) to a patch of `size` x `size` pixels.

    Pixel centres lie at integers, so the outer edges of both images fall together.
    """
    height, width = source
    sx, sy = size / width, size / height
    return np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1]], dtype=np.float64)


def upright_matrix(cell: Detection, field_px: int) -> Matrix:
    """Give the matrix from field pixels to a square of `field_px` in which the head is horizontal, tip to the right."""
    cosine, sine = math.cos(cell.angle), math.sin(cell.angle)
    centre = (field_px - 1) / 2
    rotate = np.array([[cosine, sine], [-sine, cosine]])
    shift = np.array([centre, centre]) - rotate @ np.array([cell.x, cell.y])
    return np.array([[*rotate[0], shift[0]], [*rotate[1], shift[1]], [0, 0, 1]], dtype=np.float64)


def cut(image: npt.NDArray[Any], matrix: Matrix, crop: tuple[int, int], size: int) -> npt.NDArray[np.float32]:
    """Cut a patch out of `image` [H, W] in two steps, as the paper does: perspective crop, then resize; both bilinear.

    Parameters
    ----------
    matrix
        From field pixels to crop pixels.
    crop
        Height and width of the crop.
    size
        Side of the patch. A patch smaller than the crop is area-averaged, so that no intensity is skipped.

    Returns
    -------
    float32 [size, size] in the counts of `image`; beyond the border its edge is repeated.
    """
    height, width = crop
    source = np.ascontiguousarray(image, dtype=np.float32)
    cropped = cv2.warpPerspective(
        source, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return resize(cropped, size)


def cut_all(
    images: Iterable[npt.NDArray[Any]], matrix: Matrix, crop: tuple[int, int], size: int
) -> npt.NDArray[np.float32]:
    """Cut the same patch out of each of `images` [H, W]: float32 [N, size, size]; see :func:`cut`."""
    return np.stack([cut(image, matrix, crop, size) for image in images])


def resize(image: npt.NDArray[Any], height: int, width: int | None = None) -> npt.NDArray[np.float32]:
    """Resize `image` [H, W] to [height, width] float32: bilinear when it grows, area-averaged when it shrinks.

    Without `width`, to a square.
    """
    width = height if width is None else width
    source = np.ascontiguousarray(image, dtype=np.float32)
    if source.shape == (height, width):
        return source
    method = cv2.INTER_AREA if min(source.shape) > min(height, width) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(source, (width, height), interpolation=method), dtype=np.float32)


def share_outside(matrix: Matrix, crop: tuple[int, int], field: tuple[int, int]) -> float:
    """Give the share of a crop that lies outside its field (0 to 1), sampled on a 33 x 33 grid.

    `matrix` goes from field to crop pixels; `crop` and `field` are heights and widths.
    """
    ys, xs = np.meshgrid(np.linspace(0, crop[0] - 1, 33), np.linspace(0, crop[1] - 1, 33), indexing="ij")
    x, y, w = np.linalg.inv(matrix) @ np.stack([xs.ravel(), ys.ravel(), np.ones(xs.size)])
    x, y = x / w, y / w
    inside = (x >= -0.5) & (x <= field[1] - 0.5) & (y >= -0.5) & (y <= field[0] - 0.5)
    return float(1 - inside.mean())


def centre_and_angle(matrix: Matrix, crop: tuple[int, int]) -> tuple[float, float, float]:
    """Give where the middle of a crop lies in its field (x, y in pixels), and where its x axis points (radians)."""
    inverse = np.linalg.inv(matrix)
    centre = np.array([(crop[1] - 1) / 2, (crop[0] - 1) / 2, 1.0])
    beside = centre + np.array([1.0, 0.0, 0.0])
    (x, y, w), (x1, y1, w1) = inverse @ centre, inverse @ beside
    x, y, x1, y1 = x / w, y / w, x1 / w1, y1 / w1
    return float(x), float(y), math.atan2(y1 - y, x1 - x)
