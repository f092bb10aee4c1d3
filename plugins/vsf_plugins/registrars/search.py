"""Where a bounded alignment begins: every turn and scale within the bounds is tried, each with all its shifts at once.

Refinement climbs to the nearest summit, and over a field with a few cells the nearest one is often wrong. A search at
reduced size costs little and leaves less than a pixel of it to climb.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vsf_plugins.registrars.outlines import Pixels, Spectrum, best_shift, outlines, spectrum, transform_size

Matrix = npt.NDArray[np.float64]

_SEARCH_SIDE = 320
"""Longer side (px) of the images that are searched: a head of 100 px in a field of 1920 px is still 16 px long."""

_STEP_PX = 0.9
"""How far a corner of the reduced image moves from one turn or scale to the next."""

_SIGMA, _WHITENING = 1.2, 0.5


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far an alignment may lie from "nothing moved", about the middle of the moving image.

    Attributes
    ----------
    shift
        Pixels, of the middle, in any direction.
    turn
        Degrees.
    scale
        0.02 is 2 % larger or smaller.
    """

    shift: float
    turn: float
    scale: float

    def exceeded_by(self, matrix: Matrix, shape: tuple[int, ...]) -> str | None:
        """Say in what the affine `matrix` of a moving image [h, w] goes too far, or None."""
        shift, turn, scales = describe(matrix, shape)
        if shift > self.shift:
            return f"the middle would move by {shift:.1f} px ({self.shift:g} px allowed)"
        if abs(turn) > self.turn + 0.05:
            return f"it would turn by {turn:.2f} degrees ({self.turn:g} allowed)"
        furthest = max(scales, key=lambda scale: abs(math.log(scale)) if scale > 0 else math.inf)
        if not abs(furthest - 1) <= self.scale + 0.0005:
            return f"one direction would change to {furthest:.1%} of its length ({self.scale:.1%} of change allowed)"
        return None


@dataclass(frozen=True, eq=False)
class Reduced:
    """An image at the size in which positions are searched; `shrink` takes its pixels there, 3x3."""

    pixels: Pixels
    shrink: Matrix
    spectra: dict[tuple[int, int], Spectrum]


def reduce(pixels: Pixels, longest: int, factor: float | None = None) -> Reduced:
    """Shrink `pixels` [H, W] so that its longer side has at most `longest` pixels, or by `factor`."""
    factor = min(1.0, longest / max(pixels.shape)) if factor is None else factor
    if factor >= 1:
        return Reduced(pixels, np.eye(3), {})
    size = (max(8, int(pixels.shape[1] * factor)), max(8, int(pixels.shape[0] * factor)))
    shrink = np.array([[factor, 0.0, 0.5 * factor - 0.5], [0.0, factor, 0.5 * factor - 0.5], [0.0, 0.0, 1.0]])
    # not cv2.resize: it would round the two factors apart, and a similarity would be none at the reduced size
    smooth = cv2.GaussianBlur(pixels, (0, 0), 0.5 / factor - 0.4)
    flags = cv2.INTER_LINEAR
    small = cv2.warpAffine(smooth, shrink[:2], size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Reduced(np.asarray(small, dtype=np.float32), shrink, {})


def prepare_search(fixed: Pixels) -> Reduced:
    """Reduce `fixed` [H, W] once for many searches."""
    small = reduce(fixed, _SEARCH_SIDE)
    return Reduced(outlines(small.pixels, _SIGMA), small.shrink, {})


def search(moving: Pixels, fixed: Reduced, bounds: Bounds) -> list[tuple[float, Matrix]]:
    """Try every turn and scale within `bounds`.

    Parameters
    ----------
    moving
        float32 [h, w], finite.
    fixed
        What `prepare_search` gave.

    Returns
    -------
    list of (height, matrix)
        Best first: the height of the correlation, and the 3x3 matrix from moving to fixed pixels.
    """
    factor = float(fixed.shrink[0, 0])
    small = reduce(moving, _SEARCH_SIDE, factor)
    features = outlines(small.pixels, _SIGMA)
    limit = max(2, math.ceil(bounds.shift * factor) + 1)
    size = transform_size(fixed.pixels.shape, limit)
    if size not in fixed.spectra:  # one size unless the images differ: transformed once for all stains of a field
        fixed.spectra[size] = spectrum(fixed.pixels, size)
    target = fixed.spectra[size]
    height, width = features.shape
    found = []
    for turn, scale in _poses(bounds, math.hypot(height, width) / 2):
        about = similarity_matrix(turn, scale, ((width - 1) / 2, (height - 1) / 2))
        turned = features if (turn, scale) == (0.0, 1.0) else _warped(features, about)
        (x, y), best, _ = best_shift(spectrum(turned, size), target, size, limit, _WHITENING)
        matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]) @ about
        found.append((best, np.linalg.inv(fixed.shrink) @ matrix @ small.shrink))
    found.sort(key=lambda pair: -pair[0])
    return found


def similarity_matrix(turn: float, scale: float, centre: tuple[float, float]) -> Matrix:
    """Give the 3x3 matrix that turns by `turn` degrees (clockwise on the screen) and scales about `centre` (x, y)."""
    cosine, sine = scale * math.cos(math.radians(turn)), scale * math.sin(math.radians(turn))
    x, y = centre
    return np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y], [0, 0, 1]])


def describe(matrix: Matrix, shape: tuple[int, ...]) -> tuple[float, float, tuple[float, float]]:
    """Give the shift of the middle of an image [h, w] in pixels, the turn in degrees, and both scales."""
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2, 1.0])
    moved = matrix @ centre
    shift = float(np.hypot(*(moved[:2] / moved[2] - centre[:2])))
    left, scales, right = np.linalg.svd(matrix[:2, :2])
    rotation = left @ right
    return shift, math.degrees(math.atan2(rotation[1, 0], rotation[0, 0])), (float(scales[0]), float(scales[1]))


def _poses(bounds: Bounds, reach: float) -> Iterator[tuple[float, float]]:
    """Give turns in degrees and scales, `_STEP_PX` apart at `reach` pixels from the middle."""
    turns = _steps(bounds.turn, math.degrees(_STEP_PX / reach))
    for scale in _steps(bounds.scale, _STEP_PX / reach):
        for turn in turns:
            yield turn, 1 + scale


def _steps(limit: float, step: float) -> list[float]:
    count = math.ceil(limit / step) if limit > 0 else 0
    return [limit * index / count for index in range(-count, count + 1)] if count else [0.0]


def _warped(pixels: Pixels, matrix: Matrix) -> Pixels:
    size = (pixels.shape[1], pixels.shape[0])
    return np.asarray(cv2.warpAffine(pixels, matrix[:2], size, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)
