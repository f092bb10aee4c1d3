"""What lies in a field before anybody looks at it: cells with their poses, and particles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from numpy.random import Generator

from vsframework.simulation.fragmentation import MEDIAN_DFI, Donor, Fragmentation, draw_cues, draw_fragmentation
from vsframework.simulation.geometry import Floats, pose_matrix
from vsframework.simulation.heads import Head, HeadMaps, draw_head, paint_head
from vsframework.simulation.options import SimulationOptions
from vsframework.simulation.tails import Tail, draw_tail

_MARGIN = 62
"""Least distance of a head's centre from the border: the head is whole, the corners of its crop may not be."""

_CROWDED = 0.15
"""Share of cells that lie against another one."""


@dataclass(frozen=True)
class SimulatedCell:
    """A cell: where its head lies in the brightfield field (pixels, radians), how it looks, and its DFI.

    `brightness` is the green of the head's base in 8-bit grey levels, `defocus` its own blur in pixels.
    """

    x: float
    y: float
    angle: float
    cues: Mapping[str, float]
    head: Head
    maps: HeadMaps
    tail: Tail
    fragmentation: Fragmentation
    brightness: float
    defocus: float

    @property
    def pose(self) -> Floats:
        """3x3, from the frame of the head to brightfield pixels."""
        return pose_matrix(self.x, self.y, self.angle)


@dataclass(frozen=True)
class Particle:
    """A speck of debris: place, size (standard deviation) in pixels, optical thickness and stains in grey levels."""

    x: float
    y: float
    sigma: float
    thickness: float
    green: float
    red: float


def draw_cells(donor: Donor, options: SimulationOptions, rng: Generator) -> list[SimulatedCell]:
    """Draw the cells of one field; fewer than asked for where the field is too small."""
    wanted = max(1, int(rng.poisson(options.cells_per_field)))
    return [_draw_cell(donor, x, y, options, rng) for x, y in _places(wanted, options, rng)]


def _places(wanted: int, options: SimulationOptions, rng: Generator) -> list[tuple[float, float]]:
    places: list[tuple[float, float]] = []
    for _ in range(60 * wanted):
        if len(places) == wanted:
            break
        if places and rng.random() < _CROWDED:
            near = places[int(rng.integers(len(places)))]
            distance, direction = rng.uniform(76, 125), rng.uniform(0, 2 * math.pi)
            x, y = near[0] + distance * math.cos(direction), near[1] + distance * math.sin(direction)
            apart = 76.0
        else:
            x, y = rng.uniform(_MARGIN, options.width - _MARGIN), rng.uniform(_MARGIN, options.height - _MARGIN)
            apart = 110.0
        in_field = _MARGIN <= x <= options.width - _MARGIN and _MARGIN <= y <= options.height - _MARGIN
        if in_field and all(math.hypot(x - a, y - b) >= apart for a, b in places):
            places.append((round(x, 3), round(y, 3)))
    return places


def _draw_cell(donor: Donor, x: float, y: float, options: SimulationOptions, rng: Generator) -> SimulatedCell:
    cues = draw_cues(donor, rng)
    head = draw_head(cues, rng)
    fragmentation = draw_fragmentation(donor, cues, rng)
    # measured: dsDNA falls with the DFI (r -0.54), ssDNA rises a little (r 0.25), and both vary together (r 0.62)
    brightness = 105 * donor.staining * math.exp(0.2 * rng.standard_normal())
    brightness *= (fragmentation.dfi / MEDIAN_DFI) ** -0.7
    return SimulatedCell(
        x=x,
        y=y,
        angle=round(float(rng.uniform(-math.pi, math.pi)), 6),
        cues=cues,
        head=head,
        maps=paint_head(head, rng),
        tail=draw_tail(head.half_length, options.defocus, rng),
        fragmentation=fragmentation,
        brightness=min(brightness, 190.0),
        defocus=float(0.4 * options.defocus * rng.exponential()),
    )


def draw_particles(options: SimulationOptions, rng: Generator) -> list[Particle]:
    """Draw the debris of one field: single specks, blurred ones, and now and then a lump."""
    centres = [(_anywhere(options, rng), 1) for _ in range(int(rng.poisson(options.debris)))]
    if options.debris and rng.random() < 0.35:
        centres.append((_anywhere(options, rng), int(rng.integers(8, 25))))
    particles = []
    for (x, y), count in centres:
        for _ in range(count):
            spread = 0.0 if count == 1 else 14.0
            sigma = float(rng.uniform(1.5, 3.5) if count > 1 or rng.random() < 0.6 else rng.uniform(4, 9))
            stained = rng.random() < 0.2
            green = float(rng.uniform(1, 12)) if stained else 0.0
            particles.append(
                Particle(
                    x=x + spread * float(rng.standard_normal()),
                    y=y + spread * float(rng.standard_normal()),
                    sigma=sigma,
                    thickness=float(rng.uniform(0.3, 1.0) * (2.5 / sigma if sigma > 3.5 else 1)),
                    green=green,
                    red=green * float(rng.uniform(0.1, 0.4)),
                )
            )
    return particles


def _anywhere(options: SimulationOptions, rng: Generator) -> tuple[float, float]:
    return float(rng.uniform(0, options.width)), float(rng.uniform(0, options.height))
