"""One sperm head: how it is shaped, and what it looks like in its own frame.

The frame has its origin in the middle of the head, u (columns) towards the tip and v (rows) to the right of it; one
pixel is one field pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from vsframework.simulation.geometry import Floats

REACH = 84
"""Half the side of a head's frame in pixels."""


@dataclass(frozen=True)
class Vacuole:
    """A bright (brightfield) or dark (fluorescence) hole: centre in the head's frame and radius, in pixels."""

    u: float
    v: float
    radius: float


@dataclass(frozen=True)
class Head:
    """The morphology of a head, in pixels and ratios.

    Attributes
    ----------
    half_length, half_width
        Half axes of the outline.
    taper
        How much narrower the tip is than the base.
    waves
        Order, relative amplitude and phase of the outline's deviations from an ellipse.
    vacuoles
        The holes in it.
    acrosome
        Part of the length that the acrosomal cap takes.
    cap_density, cap_stain
        Optical thickness and stain of the cap, relative to the base.
    chromatin
        Relative amplitude of the coarse texture.
    contrast
        Optical thickness of the whole head; 1 is typical.
    """

    half_length: float
    half_width: float
    taper: float
    waves: tuple[tuple[int, float, float], ...]
    vacuoles: tuple[Vacuole, ...]
    acrosome: float
    cap_density: float
    cap_stain: float
    chromatin: float
    contrast: float

    @property
    def length(self) -> float:
        """Length of the outline along its axis in pixels."""
        tip = sum(amplitude * math.cos(phase) for _, amplitude, phase in self.waves)
        base = sum(amplitude * math.cos(order * math.pi + phase) for order, amplitude, phase in self.waves)
        return self.half_length * (2 + tip + base)


def draw_head(cues: Mapping[str, float], rng: Generator) -> Head:
    """Draw a head that shows `cues`; every cue sets one visible feature, strictly monotonically."""
    half_length, half_width = rng.normal(50, 3.5), rng.normal(34.5, 2.5)
    irregularity = 0.03 * math.exp(0.45 * cues["shape"])
    share = rng.dirichlet((2.0, 2.0, 1.0))
    waves = tuple(
        (order, irregularity * math.sqrt(part), rng.uniform(0, 2 * math.pi))
        for order, part in zip((3, 4, 5), share, strict=True)
    )
    acrosome = 0.43 + 0.3 * math.tanh(0.45 * cues["acrosome"])
    return Head(
        half_length=half_length,
        half_width=half_width,
        taper=rng.normal(-0.03, 0.06),
        waves=waves,
        vacuoles=_draw_vacuoles(120 * math.exp(0.7 * cues["vacuoles"]), half_length, half_width, rng),
        acrosome=acrosome,
        cap_density=rng.uniform(0.3, 0.8),
        cap_stain=rng.uniform(0.08, 0.6),
        chromatin=0.06 * math.exp(0.65 * cues["chromatin"]),
        contrast=rng.uniform(0.65, 1.15),
    )


def _draw_vacuoles(area: float, half_length: float, half_width: float, rng: Generator) -> tuple[Vacuole, ...]:
    """Share `area` (px^2) among vacuoles, most of them in the front half."""
    count = max(1 + int(rng.poisson(1.3)), math.ceil(area / 200))
    radii = np.sqrt(area * rng.dirichlet(np.full(count, 1.5)) / math.pi)
    vacuoles = []
    for radius in radii:
        front = rng.random() < 0.75
        along = rng.uniform(0.1, 0.72) if front else rng.uniform(-0.78, 0.1)
        room = math.sqrt(1 - along**2) * 0.65
        vacuoles.append(Vacuole(along * half_length, rng.uniform(-room, room) * half_width, float(radius)))
    return tuple(vacuoles)


@dataclass(frozen=True)
class HeadMaps:
    """A head in its own frame, float64 [2 * REACH + 1, 2 * REACH + 1] each.

    `thickness` bends light (halo, rims), `absorption` darkens; `green` and `red` are the stains, 1 at the base.
    """

    thickness: Floats
    absorption: Floats
    green: Floats
    red: Floats


def paint_head(head: Head, rng: Generator) -> HeadMaps:
    """Paint `head`; `rng` gives only the arrangement of the texture, none of its strength."""
    v, u = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1].astype(np.float64)
    inside = _depth_inside(head, u, v)
    body = _step(inside, 1.0, 2.5)
    border = head.half_length * (1 - 2 * head.acrosome)
    bow = 0.004 * rng.uniform(-3, 2) * v * v + 3.0 * _texture(rng, u.shape, 9.0)
    bow = 0.004 * rng.uniform(-3, 2) * v * v + 3.0 * _texture(rng, u.shape, 9.0)
    behind_border = u - border + bow
    cap = _step(behind_border, 0.0, rng.uniform(14, 45))
    grain = head.chromatin * (0.4 * _texture(rng, u.shape, 2.5) + 0.9 * _texture(rng, u.shape, 4.5))
    bands = _texture(rng, u.shape, 3.0, across=12.0)  # folds across the head
    holes = np.zeros_like(u)
    for vacuole in head.vacuoles:
        distance = np.hypot(u - vacuole.u, v - vacuole.v)
        holes = np.maximum(holes, _step(vacuole.radius - distance, 0.0, 5.0))
    density = 1 - (1 - head.cap_density) * cap
    dome = 0.85 + 0.15 * np.clip(inside / 25, 0, 1)
    thickness = head.contrast * body * density * dome * (1 + 0.25 * grain - 0.15 * holes) + 0.012 * body * bands
    rim = 1.15 - 0.3 * np.clip(inside / 22, 0, 1)
    shade = 0.36 * rim * (1 - 0.85 * cap * (1.15 - head.cap_density)) * (1 + 1.3 * grain - 0.7 * holes) + 0.03 * bands
    clumps = 1 + 0.07 * _texture(rng, u.shape, 6.0)
    stained = clumps * _step(inside, 1.0, 9.0) * (0.85 + 0.15 * np.clip(inside / 20, 0, 1)) * (1 - 0.5 * holes)
    fall = rng.uniform(14, 40)
    green = stained * (1 - (1 - head.cap_stain) * _step(behind_border, 2.0, fall)) * (1 + 0.5 * grain)
    red_stain = 0.35 + 0.65 * head.cap_stain
    red = stained * (1 - (1 - red_stain) * _step(behind_border, 10.0, fall + 8)) * (1 + 0.2 * grain)
    return HeadMaps(thickness, head.contrast * body * np.clip(shade, -0.2, 0.8), np.clip(green, 0, None), red)


def _depth_inside(head: Head, u: Floats, v: Floats) -> Floats:
    """Distance to the outline in pixels, positive inside (first order, exact at the outline)."""
    a, b = head.half_length, head.half_width
    angle, radius = np.arctan2(v, u), np.hypot(u, v)
    ellipse = a * b / np.sqrt((b * np.cos(angle)) ** 2 + (a * np.sin(angle)) ** 2)
    wobble = 1 - head.taper * np.cos(angle) * np.abs(np.sin(angle)) * 2
    for order, amplitude, phase in head.waves:
        wobble = wobble + amplitude * np.cos(order * angle + phase)
    outline: Floats = (ellipse * wobble - radius) * np.minimum(1.0, ellipse / a + 0.25)
    return outline


def _step(value: Floats, at: float, width: float) -> Floats:
    """Rise smoothly from 0 to 1 around `at`, over about `width`."""
    ramp = np.clip((value - at) / width + 0.5, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


def _texture(rng: Generator, shape: tuple[int, ...], sigma: float, across: float | None = None) -> Floats:
    """Smooth noise with mean 0 and standard deviation 1; `across` stretches it across the head."""
    noise = rng.standard_normal(shape)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma, sigmaY=across or sigma).astype(np.float64)
    return np.asarray((smooth - smooth.mean()) / smooth.std())
