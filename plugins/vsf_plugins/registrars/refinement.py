"""Refining an accepted position on the pixels themselves, and keeping the result only where it gains.

Enhanced correlation coefficient maximisation (Evangelidis & Psarakis, IEEE TPAMI 2008), OpenCV's implementation. It
runs on the window of the fixed image that is already warped into the moving frame, so that it starts at the identity:
OpenCV's Euclidean update takes an arc sine of the whole rotation and diverges when that is near 90 degrees.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vsf_plugins.registrars.acceptance import (
    LARGEST_SIDE,
    Matrix,
    Points,
    corners,
    correlation,
    transform,
    warp_to_moving,
)

MOTIONS = {
    "similarity": cv2.MOTION_AFFINE,  # then projected: OpenCV's Euclidean motion would leave the scale as it was
    "affine": cv2.MOTION_AFFINE,
    "homography": cv2.MOTION_HOMOGRAPHY,
}


def refine(
    moving: npt.NDArray[np.float32],
    fixed: npt.NDArray[np.float32],
    matrix: Matrix,
    model: str,
    *,
    source: Points,
    target: Points,
    max_move: float,
    iterations: int = 30,
) -> tuple[Matrix, float]:
    """Improve `matrix` (moving px -> fixed px) so that the images correlate better.

    Parameters
    ----------
    moving, fixed
        float32 [h, w] and [H, W], finite.
    matrix
        3x3 float64, already close (a few pixels).
    model
        ``"similarity"``, ``"affine"`` or ``"homography"``; the result stays of that kind.
    source, target
        The inliers [N, 2] in moving and fixed pixels: a second witness, which a refinement may not contradict.
    max_move
        How far a corner may move, as a share of the diagonal of `moving`; a longer step is thrown away.

    Returns
    -------
    matrix, similarity
        The refined matrix and its correlation after warping, or the given matrix and its correlation where
        refinement does not converge, moves too far, drifts off the inliers, or does not gain.
    """
    shape = (moving.shape[0], moving.shape[1])
    warped = warp_to_moving(fixed, matrix, shape)
    before = correlation(moving, warped)
    step = _ecc_step(moving, warped, model, iterations)
    if step is None:
        return matrix, before
    outline = corners(shape)
    candidate = matrix @ step
    if model == "similarity":
        candidate = nearest_similarity(outline, transform(candidate, outline))
    candidate = candidate / candidate[2, 2]
    moved = np.linalg.norm(transform(np.linalg.inv(matrix) @ candidate, outline) - outline, axis=1).max()
    if not moved <= max_move * float(np.hypot(*shape)):
        return matrix, before
    # occlusion and relief can raise the correlation while the plane drifts away: the features must still agree
    if rms(candidate, source, target) > 1.25 * rms(matrix, source, target) + 0.1:
        return matrix, before
    after = correlation(moving, warp_to_moving(fixed, candidate, shape))
    return (candidate, after) if after > before else (matrix, before)


def rms(matrix: Matrix, source: Points, target: Points) -> float:
    """Root mean square distance in fixed pixels between `target` [N, 2] and where `matrix` puts `source` [N, 2]."""
    distances = np.linalg.norm(transform(matrix, source) - target, axis=1)
    return float(np.sqrt(np.mean(distances**2)))


def nearest_similarity(source: Points, target: Points) -> Matrix:
    """Fit the rotation, scale and shift that take `source` [N, 2] to `target` [N, 2] best (least squares), 3x3."""
    a = source[:, 0] + 1j * source[:, 1]
    b = target[:, 0] + 1j * target[:, 1]
    centred = a - a.mean()
    turn = np.vdot(centred, b - b.mean()) / np.vdot(centred, centred).real
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0.0, 0.0, 1.0]])


def _ecc_step(
    moving: npt.NDArray[np.float32], warped: npt.NDArray[np.float32], model: str, iterations: int
) -> Matrix | None:
    """Find the 3x3 step from moving pixels to pixels of the warped window; None where ECC gives up."""
    inside = np.isfinite(warped)
    if not inside.all():
        # away from the rim of the field: interpolation there has only one side to look at
        inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        warped = np.where(np.isfinite(warped), warped, np.float32(np.nanmean(warped))).astype(np.float32)
    mask = inside.astype(np.uint8) * 255
    factor = min(1.0, LARGEST_SIDE / max(moving.shape))
    if factor < 1:
        size = (round(moving.shape[1] * factor), round(moving.shape[0] * factor))
        moving = np.asarray(cv2.resize(moving, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        shrink = _resize_matrix(warped.shape, size)
        warped = np.asarray(cv2.resize(warped, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    else:
        shrink = np.eye(3)
    motion = MOTIONS[model]
    start = np.eye(3, dtype=np.float32)[: 3 if motion == cv2.MOTION_HOMOGRAPHY else 2]
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, iterations, 1e-5)
    try:
        _, found = cv2.findTransformECC(moving, warped, start.copy(), motion, criteria, mask, 3)
    except cv2.error:  # "did not converge", or no texture: the position that we have stays
        return None
    step = np.eye(3)
    step[: found.shape[0]] = found
    return np.linalg.inv(shrink) @ step @ shrink if np.all(np.isfinite(step)) else None


def _resize_matrix(shape: tuple[int, ...], size: tuple[int, int]) -> Matrix:
    """Say where ``cv2.resize`` from `shape` [H, W] to `size` (w, h) puts a pixel centre, 3x3."""
    x, y = size[0] / shape[1], size[1] / shape[0]
    return np.array([[x, 0.0, 0.5 * x - 0.5], [0.0, y, 0.5 * y - 0.5], [0.0, 0.0, 1.0]])
