"""Simulated pairs of brightfield and a stain with a known matrix between them: what registrars are measured on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from vsframework.simulation import optics
from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.geometry import Floats, displacement_matrix, warp


@dataclass(frozen=True)
class DisplacedStain:
    """A stain as its camera sees it after something moved.

    Attributes
    ----------
    stain
        uint8 [H, W].
    matrix
        3x3 similarity from pixels of `stain` to pixels of the brightfield field.
    """

    stain: npt.NDArray[np.unsignedinteger[Any]]
    matrix: Floats


def displace_stain(
    field: SimulatedField,
    rng: Generator,
    *,
    channel: int = 0,
    max_shift: float = 10.0,
    max_turn: float = 2.0,
    max_scale: float = 0.02,
) -> DisplacedStain:
    """Expose a stain of `field` once more, moved by a random similarity about the middle.

    The light is moved, then background and camera noise are added: noise knows nothing of the movement.

    Parameters
    ----------
    field
        Simulated with ``displacement = 0``.
    channel
        0 dsDNA, 1 ssDNA.
    max_shift, max_turn, max_scale
        Pixels (evenly over a disc), degrees, and share (0.02: 2 % larger or smaller).
    """
    height, width = field.brightfield.shape
    size, direction = max_shift * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
    shift = (size * math.cos(direction), size * math.sin(direction))
    turn, scale = math.radians(rng.uniform(-max_turn, max_turn)), 1 + rng.uniform(-max_scale, max_scale)
    matrix = displacement_matrix(((width - 1) / 2, (height - 1) / 2), shift, turn, scale)
    light = warp(field.stain_light[channel], matrix, (height, width)) + field.background[channel]
    return DisplacedStain(stain=optics.expose(light, 8, rng), matrix=matrix)
