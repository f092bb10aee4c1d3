"""Whether to believe an alignment: asked of the images themselves, whoever found the matrix.

The fixed image is warped into the moving frame. If the matrix is right, the two fit best where they are, and clearly
better than anywhere beyond the shifts that the alignment could have chosen: what fits there fits by chance. Two
measures ask this, and one must answer: correlated outlines, for a few cells on an empty ground, where moreover most
outlines must meet one; and mutual information of outlines, for fields that are full, where cells that one modality
shows are missing in the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from vsf_plugins.registrars.acceptance import correlation, warp_to_moving
from vsf_plugins.registrars.outlines import (
    Pixels,
    agreement,
    best_shift,
    outlines,
    spectrum,
    times_better,
    transform_size,
)
from vsf_plugins.registrars.search import Matrix, reduce

_LONGEST_SIDE = 640
_SIGMA, _WHITENING = 1.5, 0.5
_INFORMATION_SIDE = 320
_GREY_CLASSES = 6


@dataclass(frozen=True, kw_only=True)
class Demands:
    """What an alignment must show.

    Attributes
    ----------
    peak_ratio
        Correlation of the outlines where they are, over the best one beyond `reach`.
    meeting
        Share of the moving outlines that meet an outline of their kind, 0 to 1.
    information_ratio
        Mutual information where they are over the best one beyond `reach`, both above its median.
    reach
        Pixels: what lies further away than this could not have been chosen.
    tolerance
        Pixels that the best place may be away from the matrix.
    """

    peak_ratio: float
    meeting: float
    information_ratio: float
    reach: float
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Testimony:
    """What the images say: `problem` is None where they agree with the matrix, and `reason` says how well."""

    similarity: float
    problem: str | None
    reason: str


def testify(moving: Pixels, fixed: Pixels, matrix: Matrix, demands: Demands) -> Testimony:
    """Compare `moving` [h, w] with `fixed` [H, W] where the 3x3 `matrix` puts it."""
    small = reduce(moving, _LONGEST_SIDE)
    scaled = reduce(fixed, _LONGEST_SIDE, float(small.shrink[0, 0]))
    seen = warp_to_moving(scaled.pixels, scaled.shrink @ matrix @ np.linalg.inv(small.shrink), small.pixels.shape)
    inside = np.isfinite(seen)
    if inside.mean() < 0.25:
        return Testimony(similarity=0.0, problem="less than a quarter of it would lie in the fixed image", reason="")
    seen = np.where(inside, seen, np.float32(np.median(seen[inside])))
    ours, theirs = outlines(small.pixels, _SIGMA), outlines(seen, _SIGMA)
    theirs_inside = np.where(_eroded(inside), theirs, np.float32("nan"))
    similarity = correlation(ours, theirs_inside)
    theirs = np.where(np.isfinite(theirs_inside), theirs, np.float32(np.median(theirs)))
    factor = float(small.shrink[0, 0])
    problem, reason = _by_correlation(ours, theirs, theirs_inside, demands, factor)
    if problem is None:
        return Testimony(similarity=similarity, problem=None, reason=reason)
    other_problem, reason = _by_information(ours, theirs, demands, factor)
    if other_problem is None:
        return Testimony(similarity=similarity, problem=None, reason=reason)
    return Testimony(similarity=similarity, problem=f"{problem}, and {other_problem}", reason="")


def _by_correlation(
    ours: Pixels, theirs: Pixels, theirs_inside: Pixels, demands: Demands, factor: float
) -> tuple[str | None, str]:
    limit = max(2, math.ceil(demands.reach * factor))
    size = transform_size(ours.shape, limit)
    shift, best, beyond = best_shift(spectrum(ours, size), spectrum(theirs, size), size, limit, _WHITENING)
    ratio, away = times_better(best, beyond), float(np.hypot(*shift)) / factor
    meeting = agreement(ours, theirs_inside, _SIGMA)
    if ratio < demands.peak_ratio:
        return f"the outlines fit {ratio:.2f} times better than by chance ({demands.peak_ratio:g} needed)", ""
    if away > demands.tolerance:
        return f"the outlines fit best {away:.1f} px away", ""
    if not meeting >= demands.meeting:
        return f"only {meeting:.0%} of the outlines meet another ({demands.meeting:.0%} needed)", ""
    return None, f"the outlines fit {ratio:.1f} times better than by chance, and {meeting:.0%} of them meet"


def _by_information(ours: Pixels, theirs: Pixels, demands: Demands, factor: float) -> tuple[str | None, str]:
    small, scaled = reduce(ours, _INFORMATION_SIDE), reduce(theirs, _INFORMATION_SIDE)
    factor *= float(small.shrink[0, 0])
    limit = max(2, math.ceil(demands.reach * factor))
    ratio, shift = _information_peak(small.pixels, scaled.pixels, limit)
    away = float(np.hypot(*shift)) / factor
    if ratio < demands.information_ratio:
        return (
            f"they share {ratio:.2f} times the information of chance ({demands.information_ratio:g} needed)",
            "",
        )
    if away > max(demands.tolerance, 1.5 / factor):
        return f"they share most information {away:.1f} px away", ""
    return None, f"the outlines share {ratio:.1f} times the information of chance"


def _information_peak(first: Pixels, second: Pixels, limit: int) -> tuple[float, tuple[int, int]]:
    """Give the highest mutual information within `limit` pixels over the highest beyond, and the shift (x, y) of it.

    All shifts at once: the joint histogram of shifted images is a correlation of the indicators of their grey classes.
    """
    rows, columns = first.shape
    reach = min(3 * limit + 20, rows // 2, columns // 2)
    size = transform_size(first.shape, reach)
    ours = [np.conj(fft.rfft2(indicator, s=size)) for indicator in _grey_classes(first)]
    theirs = [fft.rfft2(indicator, s=size) for indicator in _grey_classes(second)]
    window = slice(0, 2 * reach + 1)
    joint = np.array(
        [
            [np.roll(fft.irfft2(a * b, s=size), (reach, reach), axis=(0, 1))[window, window] for b in theirs]
            for a in ours
        ],
        dtype=np.float64,
    )
    joint = np.maximum(joint, 1e-3)
    joint /= joint.sum(axis=(0, 1))
    chance = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    information = (joint * np.log(joint / chance)).sum(axis=(0, 1))
    limit = min(limit, reach - 1)
    near = slice(reach - limit, reach + limit + 1)
    level = float(np.median(information))
    allowed = information[near, near].copy()
    information[near, near] = -np.inf
    y, x = (int(index) for index in np.unravel_index(allowed.argmax(), allowed.shape))
    ratio = times_better(float(allowed.max()) - level, float(information.max()) - level)
    return ratio, (x - limit, y - limit)


def _grey_classes(pixels: Pixels) -> list[npt.NDArray[np.float32]]:
    """Divide `pixels` [H, W] into classes of as many pixels each; give the indicator of each class."""
    edges = np.quantile(pixels, np.linspace(0, 1, _GREY_CLASSES + 1)[1:-1])
    classes = np.searchsorted(edges, pixels)
    return [(classes == index).astype(np.float32) for index in range(_GREY_CLASSES)]


def _eroded(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Take the rim off the part of an image that is known: its outlines show the rim, not the specimen."""
    if inside.all():
        return inside
    kernel = np.ones((9, 9), np.uint8)
    return np.asarray(cv2.erode(inside.astype(np.uint8), kernel, borderType=cv2.BORDER_REPLICATE)) > 0
