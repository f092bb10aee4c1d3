"""Brightfield counts to the share of light that a cell takes or adds, whatever the lamp and the camera."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]

RING = 0.13
"""Width of the border, as a share of the side, whose median is the background: a cropped head does not reach it."""
BLACK = 0.06
"""Darker than this share of the median patch is no specimen but where a rotated crop left the field."""


def transmission(patch: Image, side: int, kept: float = 1.0) -> Image:
    """Give how much brighter than the background each pixel of a patch is: 0 is background, -1 is black.

    Parameters
    ----------
    patch
        Brightfield [H, W], counts.
    side
        Of the result [side, side], pixels.
    kept
        Share of the height and of the width that is kept, around the centre.

    Notes
    -----
    Black corners that rotation left become background. A patch without any light is all 0.
    """
    black = _black_border(patch)
    background = _background(patch, black)
    if background <= 0:
        return np.zeros((side, side), np.float32)
    relative = np.where(black, 0, patch / background - 1).astype(np.float32)
    height, width = relative.shape
    top, left = round(height * (1 - kept) / 2), round(width * (1 - kept) / 2)
    part = relative[top : height - top, left : width - left]
    shrinks = part.shape[0] >= side and part.shape[1] >= side
    sized = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return sized.astype(np.float32, copy=False)


def _background(patch: Image, black: npt.NDArray[np.bool_]) -> float:
    height, width = patch.shape
    rows, columns = max(1, round(RING * height)), max(1, round(RING * width))
    ring = ~black
    ring[rows:-rows, columns:-columns] = False
    return float(np.median(patch[ring] if ring.any() else patch))


def _black_border(patch: Image) -> npt.NDArray[np.bool_]:
    """Find connected black areas that touch the border; JPEG makes them not quite 0, and their edge not quite sharp."""
    dark = (patch < BLACK * np.median(patch)).astype(np.uint8)
    count, labels = cv2.connectedComponents(cv2.dilate(dark, np.ones((3, 3), np.uint8)))
    edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    sizes = np.bincount(labels.ravel(), minlength=count)
    areas = [label for label in np.unique(edges) if label and sizes[label] > 0.0025 * patch.size]
    found: npt.NDArray[np.bool_] = np.isin(labels, areas)
    return found
