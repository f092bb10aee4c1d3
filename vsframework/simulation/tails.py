"""Midpiece and tail: a curve behind the head, painted as overlapping soft beads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from vsframework.simulation.geometry import Floats

MIDPIECE_PX = 48


@dataclass(frozen=True)
class Tail:
    """A tail in the frame of its head, one entry per bead, from the neck on.

    `u`, `v`, `sigma` and `spacing` are in pixels; `thickness` and `stain` are the height of the painted ridge relative
    to the head's base.
    """

    u: Floats
    v: Floats
    sigma: Floats
    thickness: Floats
    stain: Floats
    spacing: float


def draw_tail(half_length: float, defocus: float, rng: Generator) -> Tail:
    """Draw a tail: mostly a lazy wave, now and then bent back or coiled; far from the head it leaves the focus."""
    spacing = 2.0
    length = max(160.0, rng.normal(520, 90))
    count = int(length / spacing)
    along = spacing * np.arange(count)
    bend = _bending(count, rng)
    heading = math.pi + rng.normal(0, 0.2) + np.cumsum(bend) * spacing
    u = -(half_length + 1) + np.cumsum(np.cos(heading)) * spacing
    v = rng.normal(0, 2.5) + np.cumsum(np.sin(heading)) * spacing
    midpiece = 1 / (1 + np.exp((along - MIDPIECE_PX) / 5))
    sigma = 2.4 + 1.8 * midpiece
    granules = 1 + 0.35 * midpiece * rng.standard_normal(count)
    rise = rng.uniform(0, 0.018) * (0.5 + defocus)
    blur = np.clip(rise * (along - rng.uniform(0, 250)), 0, 6)
    seen = np.hypot(sigma, blur)
    fade = (sigma / seen) ** 1.5 * np.clip((length - along) / 80, 0, 1)
    thickness = (0.26 + 0.3 * midpiece) * granules * fade * rng.uniform(0.7, 1.1)
    stain = (0.025 * np.exp(-along / 250) + 0.05 * midpiece * granules) * fade
    if rng.random() < 0.18:  # a cytoplasmic droplet at the neck
        droplet = np.exp(-(((along - rng.uniform(4, 16)) / 7) ** 2)) * rng.uniform(0.5, 1.5)
        seen, thickness, stain = seen + 4 * droplet, thickness + 0.15 * droplet, stain + 0.05 * droplet
    return Tail(u, v, seen, thickness, stain, spacing)


def _bending(count: int, rng: Generator) -> Floats:
    """Curvature along the tail, radians per pixel."""
    along = np.linspace(0, 1, count)
    kind = rng.random()
    strength = 0.0035 if kind < 0.85 else 0.012
    bend = np.zeros(count)
    for order in range(1, 5):
        bend += rng.normal(0, strength / order) * np.sin(order * math.pi * along + rng.uniform(0, math.pi))
    if kind > 0.94:  # bent back sharply behind the midpiece
        bend += rng.choice((-1, 1)) * 0.09 * np.exp(-(((along - rng.uniform(0.08, 0.3)) / 0.03) ** 2))
    return bend


def paint_beads(canvas: Floats, x: Floats, y: Floats, sigma: Floats, height: Floats, spacing: float) -> None:
    """Add a ridge of `height` along the points to `canvas` [H, W], in place; points outside are left out."""
    rows, columns = canvas.shape
    peak = height * spacing / (math.sqrt(2 * math.pi) * sigma)  # beads this close add up to a ridge of `height`
    for px, py, width, value in zip(x.tolist(), y.tolist(), sigma.tolist(), peak.tolist(), strict=True):
        reach = math.ceil(3 * width) + 1
        left, right = max(0, round(px) - reach), min(columns, round(px) + reach + 1)
        top, bottom = max(0, round(py) - reach), min(rows, round(py) + reach + 1)
        if left < right and top < bottom:
            across = np.exp(-0.5 * ((np.arange(left, right) - px) / width) ** 2)
            down = np.exp(-0.5 * ((np.arange(top, bottom) - py) / width) ** 2)
            canvas[top:bottom, left:right] += (value * down)[:, None] * across
