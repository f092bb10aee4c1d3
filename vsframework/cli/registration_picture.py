"""The picture of a registration that a person can judge: both images, before and after, and a checkerboard."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsframework.atomic import atomic_path

if TYPE_CHECKING:
    from vsframework.interfaces import ImageArray, Registration

Floats = npt.NDArray[np.float32]
_LONGEST_SIDE = 900
_MARGIN = 0.15
"""Of the moving image's extent: how much of the fixed image is shown around it."""

_ACCEPTED, _REFUSED = "#1a7f37", "#b3261e"


def draw_registration(path: Path, moving: ImageArray, fixed: ImageArray, found: Registration, title: str) -> None:
    """Write a PNG of `found`, accepted or not.

    Parameters
    ----------
    moving, fixed
        [h, w] and [H, W], as they were registered.
    found
        What the registrar gave; where its matrix is of no use, only what was before is shown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ours, theirs = _grey(moving), _grey(fixed)
    usable = bool(np.isfinite(found.matrix).all()) and abs(float(np.linalg.det(found.matrix))) > 1e-9
    matrix = found.matrix if usable else np.eye(3)
    outline = _outline(matrix, ours.shape)
    if not _in_sight(outline, theirs.shape):
        usable, matrix, outline = False, np.eye(3), _outline(np.eye(3), ours.shape)
    colour, word = (_ACCEPTED, "accepted") if found.accepted else (_REFUSED, "NOT accepted")
    figure = Figure(figsize=(15, 9.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("\n".join([title, *textwrap.wrap(f"{word}: {found.reason}", 130)]), color=colour, fontsize=13)
    axes = figure.subplots(2, 3).ravel()
    _show(axes[0], ours, "moving", grey=True)
    _show(axes[1], theirs, "fixed, and where moving lies in it", grey=True)
    closed = np.vstack([outline, outline[:1]])
    axes[1].plot(closed[:, 0], closed[:, 1], color=colour, linewidth=1.6)
    axes[1].set_xlim(-0.5, theirs.shape[1] - 0.5)
    axes[1].set_ylim(theirs.shape[0] - 0.5, -0.5)
    frame, shape = _frame(outline, theirs.shape)
    seen = _sample(theirs, np.linalg.inv(frame), shape)
    before = _sample(ours, np.linalg.inv(frame), shape)
    after = _sample(ours, np.linalg.inv(frame @ matrix), shape)
    note = "" if usable else " (no usable matrix)"
    _show(axes[2], _overlay(before, seen), "before: moving magenta, fixed green; grey where they agree")
    _show(axes[3], _overlay(after, seen), f"after{note}: moving magenta, fixed green")
    _show(axes[4], _checkerboard(after, seen), f"checkerboard after{note}", grey=True)
    if found.pairs is not None and len(found.pairs):
        _draw_matches(axes[5], ours, theirs, found.pairs)
    else:
        _show(axes[5], _zoomed(ours, theirs, matrix), f"after{note}, where moving shows most: moving magenta")
    axes[5].text(0, -0.02, _facts(found), va="top", family="monospace", fontsize=9, transform=axes[5].transAxes)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=80, format="png")


def _grey(pixels: ImageArray) -> Floats:
    """Stretch `pixels` [H, W] to 0..1 for the eye; what is not finite is 0."""
    values = np.nan_to_num(np.asarray(pixels, dtype=np.float32), posinf=0, neginf=0)
    low, high = np.percentile(values, [0.5, 99.8])
    if not high > low:
        low, high = float(values.min()), float(values.max())
    stretched = (values - low) / (high - low) if high > low else 0 * values
    return np.clip(stretched, 0, 1).astype(np.float32)


def _outline(matrix: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    height, width = shape
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [width - 1, height - 1, 1], [0, height - 1, 1]], dtype=np.float64)
    mapped = corners @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mapped[:, :2] / mapped[:, 2:])


def _in_sight(outline: npt.NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Say whether the outline overlaps the fixed image and is not absurdly large or small."""
    if not np.isfinite(outline).all():
        return False
    low, high = outline.min(axis=0), outline.max(axis=0)
    overlaps = bool((high > 0).all() and low[0] < shape[1] and low[1] < shape[0])
    return overlaps and bool((high - low > 4).all() and (high - low < 8 * np.array(shape[::-1])).all())


def _frame(outline: npt.NDArray[np.float64], shape: tuple[int, ...]) -> tuple[npt.NDArray[np.float64], tuple[int, int]]:
    """Give the 3x3 matrix from fixed pixels to a window around `outline`, and the size of the window."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    margin = _MARGIN * (high - low)
    low = np.maximum(low - margin, -0.05 * np.array(shape[::-1]))
    high = np.minimum(high + margin, 1.05 * np.array(shape[::-1]))
    extent = np.maximum(high - low, 8)
    zoom = _LONGEST_SIDE / extent.max()
    matrix = np.array([[zoom, 0.0, -zoom * low[0]], [0.0, zoom, -zoom * low[1]], [0.0, 0.0, 1.0]])
    return matrix, (max(8, round(extent[1] * zoom)), max(8, round(extent[0] * zoom)))


def _sample(image: Floats, inverse: npt.NDArray[np.floating[Any]], shape: tuple[int, int]) -> Floats:
    """Show `image` in a window whose pixels `inverse` takes to the image; 0 outside."""
    import cv2

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(image, inverse, shape[::-1], flags=flags), dtype=np.float32)


def _overlay(moving: Floats, fixed: Floats) -> Floats:
    return np.stack([moving, fixed, moving], axis=-1)


def _checkerboard(moving: Floats, fixed: Floats) -> Floats:
    rows, columns = np.indices(moving.shape)
    side = max(8, max(moving.shape) // 8)
    return np.where((rows // side + columns // side) % 2 == 0, moving, fixed)


def _zoomed(moving: Floats, fixed: Floats, matrix: npt.NDArray[np.float64]) -> Floats:
    """Overlay a small part around the strongest outline of moving: a few pixels cannot be judged on a whole field."""
    import cv2

    smooth = cv2.GaussianBlur(moving, (0, 0), 2)
    strength = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    y, x = np.unravel_index(int(cv2.GaussianBlur(strength, (0, 0), 15).argmax()), strength.shape)
    place = matrix @ np.array([float(x), float(y), 1.0])
    side, zoom = 160.0, 3.0
    low = place[:2] / place[2] - side / 2
    inverse = np.array([[1 / zoom, 0.0, low[0]], [0.0, 1 / zoom, low[1]], [0.0, 0.0, 1.0]])
    shape = (round(side * zoom), round(side * zoom))
    return _overlay(_sample(moving, np.linalg.inv(matrix) @ inverse, shape), _sample(fixed, inverse, shape))


def _draw_matches(axes: Any, moving: Floats, fixed: Floats, pairs: npt.NDArray[np.float64]) -> None:
    """Draw both images side by side at one height, and a line from each inlier to its match."""
    height = max(moving.shape[0], fixed.shape[0])
    zoom_moving, zoom_fixed = height / moving.shape[0], height / fixed.shape[0]
    width_moving = round(moving.shape[1] * zoom_moving)
    width = width_moving + round(fixed.shape[1] * zoom_fixed)
    board = np.zeros((height, width), np.float32)
    board[:, :width_moving] = _sample(moving, np.diag([1 / zoom_moving] * 2 + [1.0]), (height, width_moving))
    board[:, width_moving:] = _sample(fixed, np.diag([1 / zoom_fixed] * 2 + [1.0]), (height, width - width_moving))
    _show(axes, board, f"{len(pairs)} inliers: moving (left), fixed (right)", grey=True)
    for first, second in pairs[:: max(1, len(pairs) // 150)]:
        across = [first[0] * zoom_moving, second[0] * zoom_fixed + width_moving]
        axes.plot(across, [first[1] * zoom_moving, second[1] * zoom_fixed], linewidth=0.6, color="#ffb000")


def _show(axes: Any, image: Floats, title: str, grey: bool = False) -> None:
    axes.imshow(image, cmap="gray" if grey else None, vmin=0, vmax=1, interpolation="antialiased")
    axes.set_title(title, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])


def _facts(found: Registration) -> str:
    rows = "\n".join("  ".join(f"{value:11.5f}" for value in row) for row in found.matrix)
    lines = [f"model       {found.model}", "", "moving px -> fixed px", rows, ""]
    if found.matches:
        lines.append(f"inliers     {found.inliers} of {found.matches} matches")
    for name, value in (("residual px", found.residual_px), ("similarity ", found.similarity)):
        if np.isfinite(value):
            lines.append(f"{name} {value:.3f}")
    return "\n".join(lines)
