"""Planted faults: images that no number should be given for, made from simulated cells, with their truth.

Every fault is drawn from its own random numbers: the same field, cell, kind and seed give the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numpy.random import PCG64, Generator, SeedSequence

from vsframework.errors import UsageError
from vsframework.simulation import optics
from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.geometry import Floats, compose, crop_matrix, invert, warp
from vsframework.simulation.options import CROP_PX

GRAIN = 1.6
"""Standard deviation of the camera's coarse noise in grey levels, as in the fields."""


@dataclass(frozen=True, kw_only=True)
class PlantedFault:
    """An image with one fault: its kind, what was done in words, and the pixels [150, 150], dtype of the field."""

    kind: str
    truth: str
    image: npt.NDArray[np.unsignedinteger[Any]]


def plant_fault(kind: str, field: SimulatedField, cell: int, seed: int) -> PlantedFault:
    """Plant a fault of `kind` (one of :data:`FAULTS`) in cell number `cell` of `field`.

    Raises
    ------
    UsageError
        For an unknown kind.
    """
    if kind not in FAULTS:
        raise UsageError(f"there is no fault {kind!r}; known are {', '.join(FAULTS)}")
    rng = Generator(PCG64(SeedSequence(seed, spawn_key=(list(FAULTS).index(kind), cell))))
    scene = _Scene(field, cell, rng)
    light, truth = FAULTS[kind](scene)
    return PlantedFault(kind=kind, truth=truth, image=scene.expose(light))


class _Scene:
    """One cell of a field in 8-bit grey levels, and the camera that takes its picture again."""

    def __init__(self, field: SimulatedField, cell: int, rng: Generator) -> None:
        self.field = field
        self.cell = cell
        self.rng = rng
        self.bit_depth: Literal[8, 16] = 8 if field.brightfield.dtype == np.uint8 else 16
        self.gain = 1.0 if self.bit_depth == 8 else 256.0
        self.grain = 0.0
        self.light: Floats = field.crops[cell].astype(np.float64) / self.gain
        self.level = float(np.median(field.brightfield)) / self.gain

    def expose(self, light: Floats) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Take the picture: `grain` is 0 where the noise of the first picture is still in `light`."""
        if self.grain:
            return optics.expose(light, self.bit_depth, self.rng, grain=self.grain)
        image = np.clip(np.rint(light * self.gain), 0, 2**self.bit_depth - 1)
        return np.asarray(image, dtype=self.field.brightfield.dtype)

    def empty(self) -> Floats:
        """Light an empty patch of this field's brightness."""
        wide = optics.illuminate((1080, 1920), self.level, self.rng)  # the slopes of a field, not squeezed into a crop
        top, left = int(self.rng.integers(0, 1080 - CROP_PX)), int(self.rng.integers(0, 1920 - CROP_PX))
        return np.asarray(wide[top : top + CROP_PX, left : left + CROP_PX])

    def stain(self) -> Floats:
        """The dsDNA fluorescence of this cell, [150, 150] in grey levels."""
        to_crop = compose(self.field.to_dsdna, invert(self.field.cells[self.cell].crop))
        return np.asarray(warp(self.field.dsdna, to_crop, (CROP_PX, CROP_PX)) / self.gain)

    def cut(self, along: float, across: float) -> Floats:
        """Cut the patch that lies this many pixels beside the cell, in the frame of its head."""
        truth = self.field.cells[self.cell]
        cosine, sine = np.cos(truth.angle), np.sin(truth.angle)
        x, y = truth.x + along * cosine - across * sine, truth.y + along * sine + across * cosine
        matrix = invert(crop_matrix(float(x), float(y), truth.angle, CROP_PX))
        return np.asarray(warp(self.field.brightfield, matrix, (CROP_PX, CROP_PX)) / self.gain)


def _defocus(scene: _Scene) -> tuple[Floats, str]:
    sigma = scene.rng.uniform(4, 8)
    scene.grain = GRAIN  # the blur took the noise of the first picture away
    return optics.blur(scene.light, sigma), f"blurred by {sigma:.1f} px"


def _saturated(scene: _Scene) -> tuple[Floats, str]:
    target = scene.rng.uniform(0.95, 1.4) * optics.FULL_WELL_LEVELS
    return scene.light * target / scene.level, f"exposed so that the background would reach {target:.0f} of 255"


def _other_cell(scene: _Scene) -> tuple[Floats, str]:
    v, u = np.mgrid[:CROP_PX, :CROP_PX] - (CROP_PX - 1) / 2 + scene.rng.uniform(-6, 6, (2, 1, 1))
    large = bool(scene.rng.random() < 0.5)
    radius = scene.rng.uniform(45, 58) if large else scene.rng.uniform(20, 28)
    wobble = 1 + 0.03 * np.cos(3 * np.arctan2(v, u) + scene.rng.uniform(0, 6.3))
    depth = radius * wobble - np.hypot(u, v)
    body = np.clip(depth / 3 + 0.5, 0, 1)
    if large:  # a leukocyte: granules, and a nucleus of lobes
        noise = optics.blur(scene.rng.standard_normal(u.shape), 2.0)
        thickness = body * (0.5 + 0.5 * noise / noise.std() * 0.3)
        lobes = np.zeros_like(u)
        for angle in scene.rng.uniform(0, 6.3) + np.array([0, 2.1, 4.2]):
            away = np.hypot(u - 0.4 * radius * np.cos(angle), v - 0.4 * radius * np.sin(angle))
            lobes = np.maximum(lobes, np.clip((0.35 * radius - away) / 4 + 0.5, 0, 1))
        absorption = body * (0.08 + 0.2 * lobes)
    else:  # an erythrocyte: a disc with a thin middle
        dome = 0.6 + 0.4 * np.clip(np.hypot(u, v) / (0.7 * radius), 0, 1)
        thickness, absorption = body * dome, 0.25 * body * dome
    scene.grain = GRAIN
    light = optics.brightfield(thickness, absorption, scene.empty(), 0.8)
    return light, f"{'a leukocyte' if large else 'an erythrocyte'} of {2 * radius:.0f} px"


def _empty(scene: _Scene) -> tuple[Floats, str]:
    scene.grain = GRAIN
    return scene.empty(), "no cell"


def _wrong_modality(scene: _Scene) -> tuple[Floats, str]:
    if scene.rng.random() < 0.5:
        return scene.stain(), "dsDNA fluorescence in place of brightfield"
    gain = scene.rng.uniform(2, 4)
    return 8 + gain * np.abs(scene.light - scene.level), "dark field in place of brightfield"


def _inverted(scene: _Scene) -> tuple[Floats, str]:
    return optics.FULL_WELL_LEVELS - scene.light, "255 minus the image"


def _truncated(scene: _Scene) -> tuple[Floats, str]:
    shift, angle = scene.rng.uniform(45, 65), scene.rng.uniform(0, 2 * np.pi)
    light = scene.cut(shift * np.cos(angle), shift * np.sin(angle))
    return light, f"cut {shift:.0f} px beside the middle of the head"


def _overlapped(scene: _Scene) -> tuple[Floats, str]:
    shift, angle = scene.rng.uniform(35, 60), scene.rng.uniform(0, 2 * np.pi)
    other = scene.cut(shift * np.cos(angle), shift * np.sin(angle))
    return scene.light * other / scene.level, f"a second head {shift:.0f} px beside the first"


def _uneven(scene: _Scene) -> tuple[Floats, str]:
    slope, angle = scene.rng.uniform(0.4, 0.8), scene.rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:CROP_PX, :CROP_PX] / CROP_PX - 0.5
    return scene.light * (1 + slope * (x * np.cos(angle) + y * np.sin(angle))), f"the light slopes by {slope:.0%}"


def _black_border(scene: _Scene) -> tuple[Floats, str]:
    reach, angle = scene.rng.uniform(48, 70), scene.rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:CROP_PX, :CROP_PX] - (CROP_PX - 1) / 2
    outside = x * np.cos(angle) + y * np.sin(angle) > reach
    return np.where(outside, 0.0, scene.light), f"black from {reach:.0f} px beside the middle"


FAULTS: dict[str, Callable[[_Scene], tuple[Floats, str]]] = {
    "defocus": _defocus,
    "saturated": _saturated,
    "other-cell": _other_cell,
    "empty": _empty,
    "wrong-modality": _wrong_modality,
    "inverted": _inverted,
    "truncated": _truncated,
    "overlapped": _overlapped,
    "uneven": _uneven,
    "black-border": _black_border,
}
"""The kinds of fault, by name."""
