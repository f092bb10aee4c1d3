"""Which end of a head is the tip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsf_edge.detectors.frame_planes import FramePlanes
from vsf_edge.detectors.outlines import Floats, Outlines

WITHIN, FAN_WITHIN = np.array([0.35, 0.5, 0.65, 0.8]), np.radians(np.arange(-35, 36, 7))
"""Where each half of a head is read: in half lengths from its middle."""

BEYOND, FAN_BEYOND = np.arange(0.14, 0.45, 0.02), np.radians(np.arange(-36, 37, 6))
"""Where a midpiece would show: in head lengths beyond the outline, outside of the halo."""

STRUCTURE_WEIGHT = 0.25
"""What the logarithm of how much more goes on beyond one end counts, against a darkness as great as the rise of the
outline; fitted with simulated heads and every fourth real crop of McCallum et al. 2019."""


def tip_evidence(planes: FramePlanes, outlines: Outlines) -> Floats:
    """Say how surely each ellipse points to the tip: [N], positive where it does, negative where the tip is behind.

    Two signs of a tail: a darker half of the head (the nucleus and neck; the acrosome at the tip is clear), and
    structure that goes on beyond the end (the midpiece).
    """
    both = np.repeat(outlines.ellipses, 2, axis=0)
    both[1::2, 4] += np.pi
    signs = _signs_of_tail(planes, both, np.repeat(outlines.rise, 2))
    return signs[1::2] - signs[::2]


def _signs_of_tail(planes: FramePlanes, ellipses: Floats, rise: Floats) -> Floats:
    """Say how much the end of each of `ellipses` [N, 5] to which it points looks like the tail's: [N]."""
    x, y, half_length, half_width, direction = (column[:, None, None] for column in ellipses.T)

    def read(turn: Floats, distance: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        columns = x + distance * np.cos(direction + turn)
        rows = y + distance * np.sin(direction + turn)
        height, width = planes.reading.shape
        inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
        return planes.relief(columns, rows), inside

    within, _ = read(FAN_WITHIN, half_length * WITHIN[:, None])
    turn = FAN_BEYOND
    outline = half_length * half_width / np.hypot(half_width * np.cos(turn), half_length * np.sin(turn))
    beyond, seen = read(turn, outline + BEYOND[:, None] * planes.length)
    number = np.maximum(seen.sum(axis=2), 1)
    mean = np.where(seen, beyond, 0).sum(axis=2) / number
    spread = np.sqrt(np.where(seen, (beyond - mean[..., None]) ** 2, 0).sum(axis=2) / number)
    arcs = seen.any(axis=2)
    structure = np.where(arcs, spread, 0).sum(axis=1) / np.maximum(arcs.sum(axis=1), 1)
    return np.asarray(STRUCTURE_WEIGHT * np.log(structure / rise + 0.1) - within.mean(axis=(1, 2)) / rise)
