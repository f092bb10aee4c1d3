"""Which end of a head is the tip."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vsf_plugins.detectors.field_relief import WORKING_LENGTH, FieldRelief
from vsf_plugins.detectors.head_outline import Ellipses

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

BEYOND = np.arange(0.16, 0.5, 0.04) * WORKING_LENGTH
"""Where a midpiece would show, beyond the halo of the head's end; working pixels from the outline."""

FAN_BEYOND = np.radians(np.arange(-40, 41, 5))
FAN_WITHIN = np.radians(np.arange(-35, 36, 7))
WITHIN = np.array([0.35, 0.5, 0.65, 0.8])
"""Where each half of the head is read, in half lengths."""

DARKNESS_WEIGHT = 0.4
"""What one noise level of darkness counts against the logarithm of how much more goes on beyond one end."""


def tip_evidence(relief: FieldRelief, ellipse: Ellipses) -> float:
    """Say how surely `ellipse` [5] points to the tip: positive where it does, negative where the tip is behind.

    Two signs of a tail: structure that goes on beyond the end (the midpiece), and a darker half of the head (the
    nucleus and neck; the acrosome at the tip is clear).
    """
    beyond, darkness = [], []
    x, y, half_length, _, angle = ellipse
    for end in (angle, angle + np.pi):
        rays = relief.sample_structure(*_fan(x, y, end + FAN_BEYOND, half_length + BEYOND))
        seen = np.isfinite(rays)
        along = np.where(seen, rays, 0).sum(axis=1)[seen.any(axis=1)] / seen.sum(axis=1)[seen.any(axis=1)]
        beyond.append(float(along.max()) if along.size else float("nan"))
        darkness.append(-float(relief.sample_relief(*_fan(x, y, end + FAN_WITHIN, half_length * WITHIN)).mean()))
    ahead, behind = beyond
    going_on = np.log((behind + relief.noise) / (ahead + relief.noise)) if np.isfinite(ahead + behind) else 0.0
    return float(going_on) + DARKNESS_WEIGHT * (darkness[1] - darkness[0]) / relief.noise


def _fan(x: float, y: float, directions: Floats, distances: Floats) -> tuple[Floats, Floats]:
    return x + np.outer(np.cos(directions), distances), y + np.outer(np.sin(directions), distances)
