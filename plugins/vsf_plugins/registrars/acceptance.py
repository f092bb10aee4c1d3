"""Whether to believe a registration: an inlier count alone proves nothing.

Direct SIFT between a phase-contrast and a fluorescence image finds up to 19 "inliers" that are all wrong, and CLAHE
makes 94 of them by sending many points to one. So a result passes here only if it is geometrically possible and the
images look alike once warped. Each check returns None, or the sentence that says why the result is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

LARGEST_SIDE = 320
"""Images larger than this (px) are compared at a reduced size: beyond it time grows and certainty does not."""

Points = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an acceptable registration looks like.

    Attributes
    ----------
    min_inliers
        Inliers with a target point of their own.
    min_inlier_share
        Inliers over matches, 0 to 1.
    min_spread
        Spread of the inliers across their narrow direction, over the shorter side of the moving image.
    max_residual_px
        Root mean square distance of the inliers, in fixed pixels.
    min_scale, max_scale
        Of moving pixels in the fixed image, at every corner and at the centre.
    max_anisotropy
        Longest over shortest axis that the unit circle maps to.
    min_overlap
        Share of the moving image that must lie inside the fixed one, 0 to 1.
    min_similarity
        Normalised correlation after warping, -1 to 1.
    max_repetition
        How well the moving image may also fit beside its position, over how well it fits there.
    """

    min_inliers: int
    min_inlier_share: float
    min_spread: float
    max_residual_px: float
    min_scale: float
    max_scale: float
    max_anisotropy: float
    min_overlap: float
    min_similarity: float
    max_repetition: float


def corners(shape: tuple[int, int]) -> Points:
    """Give the centres of the corner pixels of an image [H, W], clockwise from the origin, float64 [4, 2] (x, y)."""
    height, width = shape
    return np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64)


def transform(matrix: Matrix, points: Points) -> Points:
    """Map `points` [N, 2] by the 3x3 `matrix`; points on or behind the horizon become infinite."""
    mapped = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    ahead = mapped[:, 2:] > 1e-9
    return np.where(ahead, mapped[:, :2] / np.where(ahead, mapped[:, 2:], 1.0), np.inf)


def check_inliers(source: Points, target: Points, matches: int, shape: tuple[int, int], limits: Limits) -> str | None:
    """Refuse too few inliers, many-to-one inliers, and inliers on a line or in one spot.

    `source` and `target` are the inliers [N, 2] in the moving (`shape` = [h, w]) and the fixed image.
    """
    # one keypoint gives a descriptor per dominant direction: count places, not descriptors
    unique = min(len(np.unique(np.round(source), axis=0)), len(np.unique(np.round(target), axis=0)))
    if unique < limits.min_inliers:
        return f"only {unique} places agree on one position ({limits.min_inliers} needed)"
    if unique < 0.5 * len(source):
        return f"{len(source)} inliers fall on only {unique} places"
    if len(source) < limits.min_inlier_share * matches:
        return f"only {len(source)} of {matches} matches agree on one position"
    spread = float(np.linalg.svd(source - source.mean(axis=0), compute_uv=False)[-1]) / np.sqrt(len(source))
    if spread < limits.min_spread * min(shape):
        return "the inliers lie on a line or in one spot, which fixes no position"
    return None


def check_residual(residual_px: float, limits: Limits) -> str | None:
    """Refuse inliers that are far from where the matrix puts them (root mean square, fixed pixels)."""
    if not residual_px <= limits.max_residual_px:
        return f"the inliers are {residual_px:.2f} px off ({limits.max_residual_px:g} px allowed)"
    return None


def check_geometry(matrix: Matrix, shape: tuple[int, int], fixed_shape: tuple[int, int], limits: Limits) -> str | None:
    """Refuse a `matrix` that no microscope makes: mirrored, folded, collapsed, stretched, or outside the field."""
    if not np.all(np.isfinite(matrix)):
        return "the matrix is not finite"
    outline = corners(shape)
    mapped = transform(matrix, outline)
    if not np.all(np.isfinite(mapped)):
        return "the moving image would reach beyond the horizon"
    edges = np.roll(mapped, -1, axis=0) - mapped
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if np.all(turns < 0):
        return "the matrix mirrors the image (negative determinant)"
    if not np.all(turns > 0):
        return "the outline of the moving image is folded (not convex)"
    affine = bool(np.all(matrix[2, :2] == 0))  # then the same everywhere
    for point in outline[:1] if affine else (*outline, outline.mean(axis=0)):
        long, short = np.linalg.svd(_jacobian(matrix, point), compute_uv=False)
        scale = float(np.sqrt(long * short))
        if not limits.min_scale <= scale <= limits.max_scale:
            return f"the scale is {scale:.3g} ({limits.min_scale:g} to {limits.max_scale:g} allowed)"
        if long > limits.max_anisotropy * short:
            return f"one direction is stretched {long / short:.1f} times more ({limits.max_anisotropy:g} allowed)"
    overlap = _overlap(mapped, fixed_shape)
    if overlap < limits.min_overlap:
        return f"only {overlap:.0%} of the moving image would lie in the fixed one ({limits.min_overlap:.0%} needed)"
    return None


def check_similarity(similarity: float, limits: Limits) -> str | None:
    """Refuse images that do not look alike after warping."""
    if not similarity >= limits.min_similarity:
        return (
            f"the images do not look alike after warping (correlation {similarity:.2f}, "
            f"{limits.min_similarity:g} needed)"
        )
    return None


def check_repetition(
    moving: npt.NDArray[np.float32], fixed: npt.NDArray[np.float32], matrix: Matrix, limits: Limits
) -> str | None:
    """Refuse a repeated texture: the middle of `moving` [h, w] fits nearby in `fixed` [H, W] as well as at `matrix`."""
    height, width = moving.shape
    factor = min(1.0, LARGEST_SIDE / max(height, width))
    small = (max(8, round(height * factor)), max(8, round(width * factor)))
    # the surroundings of the position, twice the moving image in each direction, seen in its frame
    shrink = np.diag([small[1] / width, small[0] / height, 1.0])
    margin = np.array([[1.0, 0.0, -0.5 * small[1]], [0.0, 1.0, -0.5 * small[0]], [0.0, 0.0, 1.0]])
    around = warp_to_moving(fixed, matrix @ np.linalg.inv(shrink) @ margin, (2 * small[0], 2 * small[1]))
    inside = np.isfinite(around)
    level = np.float32(around[inside].mean())
    around = np.where(inside, around - level, np.float32(0))
    reduced = np.asarray(cv2.resize(moving - level, small[::-1], interpolation=cv2.INTER_AREA), dtype=np.float32)
    top, left = small[0] // 4, small[1] // 4
    middle = reduced[top : small[0] - top, left : small[1] - left]
    fit = np.asarray(cv2.matchTemplate(around, middle, cv2.TM_CCOEFF_NORMED))
    y, x = top + small[0] // 2, left + small[1] // 2  # where the middle fits if the matrix is right
    near_y, near_x = max(2, top // 2), max(2, left // 2)
    here = float(fit[y - 2 : y + 3, x - 2 : x + 3].max())
    # other summits only: the flank of the summit itself may be broad
    summits = fit >= np.asarray(cv2.dilate(fit, np.ones((9, 9), np.uint8)))
    # and only where there is something to look at: mostly inside the fixed image
    covered = cv2.boxFilter(inside.astype(np.float32), -1, middle.shape[::-1], anchor=(0, 0))
    summits &= np.asarray(covered)[: fit.shape[0], : fit.shape[1]] > 0.5
    summits[y - near_y : y + near_y + 1, x - near_x : x + near_x + 1] = False
    elsewhere = float(fit[summits].max(initial=-1.0))
    if elsewhere > limits.max_repetition * here:
        return (
            "the image repeats: it fits nearly as well beside its position "
            f"(correlation {elsewhere:.2f} there, {here:.2f} here)"
        )
    return None


def warp_to_moving(fixed: npt.NDArray[np.float32], matrix: Matrix, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Sample `fixed` [H, W] where `matrix` puts the pixels of a moving image [h, w]; NaN outside."""
    height, width = shape
    warped = cv2.warpPerspective(
        fixed,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=float("nan"),
    )
    return np.asarray(warped, dtype=np.float32)


def correlation(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Give the normalised correlation of two images [H, W] where both are finite; 0 if either is constant there."""
    both = np.isfinite(first) & np.isfinite(second)
    a, b = first[both].astype(np.float64), second[both].astype(np.float64)
    if a.size < 2:
        return 0.0
    a -= a.mean()
    b -= b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 1e-12 else 0.0


def _jacobian(matrix: Matrix, point: npt.NDArray[np.float64]) -> Matrix:
    """Differentiate the mapping at `point` (x, y): how a small square becomes a parallelogram, [2, 2]."""
    x, y, w = matrix @ np.array([point[0], point[1], 1.0])
    return np.asarray((matrix[:2, :2] - np.outer([x / w, y / w], matrix[2, :2])) / w)


def _overlap(outline: Points, fixed_shape: tuple[int, int]) -> float:
    """Share of the convex `outline` [4, 2] that lies in an image [H, W]."""
    area, _ = cv2.intersectConvexConvex(outline.astype(np.float32), corners(fixed_shape).astype(np.float32))
    return float(area) / max(float(cv2.contourArea(outline.astype(np.float32))), 1e-12)
