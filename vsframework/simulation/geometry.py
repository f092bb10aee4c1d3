"""Where things lie: poses, displacements, and reading an image between its pixels.

x to the right, y down, pixel centres at integers. Sampling is written out in float64 rather than taken from OpenCV,
whose fixed-point warps differ between versions and processors.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


def pose_matrix(x: float, y: float, angle: float, scale: float = 1.0) -> Floats:
    """Give the 3x3 matrix that takes a cell's own frame (u towards the tip, v to its right) to image pixels."""
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cosine, -sine, x], [sine, cosine, y], [0.0, 0.0, 1.0]])


def crop_matrix(x: float, y: float, angle: float, size: int) -> Floats:
    """Give the 3x3 homography from field pixels to a `size` x `size` crop: head in the middle, tip to the right."""
    centre = (size - 1) / 2
    return compose(pose_matrix(centre, centre, 0.0), invert(pose_matrix(x, y, angle)))


def displacement_matrix(centre: tuple[float, float], shift: tuple[float, float], angle: float, scale: float) -> Floats:
    """Give the 3x3 similarity that turns and scales about `centre` and then moves by `shift`, all in pixels."""
    move = pose_matrix(centre[0] + shift[0], centre[1] + shift[1], angle, scale)
    return compose(move, pose_matrix(-centre[0], -centre[1], 0.0))


def compose(*matrices: Floats) -> Floats:
    """Multiply 3x3 matrices; the last one acts first."""
    result = np.eye(3)
    for matrix in matrices:
        result = np.asarray(result @ matrix, np.float64)
    return result


def invert(matrix: Floats) -> Floats:
    """Give the 3x3 matrix of the way back."""
    return np.asarray(np.linalg.inv(matrix), np.float64)


def apply(matrix: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Move points by an affine 3x3 `matrix`."""
    return matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2], matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]


def sample(image: npt.NDArray[Any], x: Floats, y: Floats) -> Floats:
    """Read `image` [H, W] or [C, H, W] at the points (`x`, `y`), bilinear; 0 outside."""
    height, width = image.shape[-2:]
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    along, down = x - left, y - top
    result = np.zeros((*image.shape[:-2], *x.shape))
    for dy, weight_y in ((0, 1 - down), (1, down)):
        for dx, weight_x in ((0, 1 - along), (1, along)):
            column, row = left + dx, top + dy
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            value = image[..., np.where(inside, row, 0), np.where(inside, column, 0)]
            result += value * (weight_x * weight_y * inside)
    return result


def warp(image: npt.NDArray[Any], to_image: Floats, shape: tuple[int, int]) -> Floats:
    """Give an image of `shape` whose pixel p shows `image` [..., H, W] at `to_image` p; 0 outside."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float64)
    return sample(image, *apply(to_image, columns, rows))
