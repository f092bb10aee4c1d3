"""One field: brightfield and two stains of the same cells, and the truth about each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from vsframework.simulation import optics
from vsframework.simulation.fragmentation import Donor
from vsframework.simulation.geometry import (
    Floats,
    apply,
    compose,
    crop_matrix,
    displacement_matrix,
    invert,
    pose_matrix,
    sample,
    warp,
)
from vsframework.simulation.heads import REACH
from vsframework.simulation.options import CROP_PX, SimulationOptions
from vsframework.simulation.scene import Particle, SimulatedCell, draw_cells, draw_particles
from vsframework.simulation.tails import paint_beads

_FOREIGN_SHARE = 0.02
"""A cell counts as overlapping where more than this part of a stain in its patch belongs to other things."""


@dataclass(frozen=True)
class CellTruth:
    """What is known about one cell; lengths in pixels, angles in radians, sums in grey levels above background.

    Attributes
    ----------
    x, y, angle, length
        The head in the brightfield field; the angle points from the tail to the tip, clockwise on the screen.
    dfi, visible
        The DFI, and the best prediction of it from the morphology.
    green_sum, red_sum
        Sums of the noise-free stains of this cell over its 150x150 patch; ``red / (green + red)`` is `dfi`.
    overlapping
        More than 2 % of a stain in the patch belongs to other cells or debris.
    crop
        3x3 homography from brightfield field to crop.
    cues
        The visible cues behind `visible`, in standard deviations.
    """

    x: float
    y: float
    angle: float
    length: float
    dfi: float
    visible: float
    green_sum: float
    red_sum: float
    overlapping: bool
    crop: Floats
    cues: Mapping[str, float]


@dataclass(frozen=True)
class SimulatedField:
    """A field as the camera gives it, and its truth.

    Attributes
    ----------
    brightfield, dsdna, ssdna
        [H, W], uint8 or uint16.
    crops
        One brightfield crop per cell, same dtype.
    cells
        The truth, in the order of `crops`.
    to_dsdna, to_ssdna
        3x3 similarity from brightfield to fluorescence pixels.
    background
        Offset of dsDNA and ssDNA in 8-bit grey levels.
    stain_light
        float64 [2, H, W], 8-bit grey levels: what shines in the fluorescence fields before background and camera.
    """

    brightfield: npt.NDArray[np.unsignedinteger[Any]]
    dsdna: npt.NDArray[np.unsignedinteger[Any]]
    ssdna: npt.NDArray[np.unsignedinteger[Any]]
    crops: list[npt.NDArray[np.unsignedinteger[Any]]]
    cells: list[CellTruth]
    to_dsdna: Floats
    to_ssdna: Floats
    background: tuple[float, float]
    stain_light: Floats


def simulate_field(donor: Donor, options: SimulationOptions, scene: Generator, camera: Generator) -> SimulatedField:
    """Simulate one field of `donor`; `scene` decides what lies there, `camera` only the noise."""
    shape = (options.height, options.width)
    cells = draw_cells(donor, options, scene)
    particles = draw_particles(options, scene)
    to_dsdna, to_ssdna = _draw_displacement(options, scene)
    background = (round(scene.uniform(0, options.background), 4), round(scene.uniform(0, options.background), 4))
    brightfield = _expose_brightfield(cells, particles, options, scene, camera)

    stains = np.zeros((2, *shape))
    for particle in particles:
        for channel, height, matrix in ((0, particle.green, to_dsdna), (1, particle.red, to_ssdna)):
            if height:
                x, y = apply(matrix, np.array([particle.x]), np.array([particle.y]))
                _paint_speck(stains[channel], x, y, particle.sigma, height)
    own = [_paint_stains(cell, to_dsdna, to_ssdna, stains) for cell in cells]
    crop_matrices = [crop_matrix(cell.x, cell.y, cell.angle, CROP_PX) for cell in cells]
    truths = []
    for cell, (green, red), crop in zip(cells, own, crop_matrices, strict=True):
        total = warp(stains, compose(to_dsdna, invert(crop)), (CROP_PX, CROP_PX)).sum(axis=(1, 2))
        foreign = max((total[0] - green) / green, (total[1] - red) / red)
        truths.append(_truth(cell, green, red, crop, overlapping=bool(foreign > _FOREIGN_SHARE)))
    exposures = [optics.expose(stains[channel] + background[channel], options.bit_depth, camera) for channel in (0, 1)]
    return SimulatedField(
        brightfield=brightfield,
        dsdna=exposures[0],
        ssdna=exposures[1],
        crops=[_crop(brightfield, crop) for crop in crop_matrices],
        cells=truths,
        to_dsdna=to_dsdna,
        to_ssdna=to_ssdna,
        background=background,
        stain_light=stains,
    )


def _draw_displacement(options: SimulationOptions, rng: Generator) -> tuple[Floats, Floats]:
    if not options.displacement:
        return np.eye(3), np.eye(3)
    size, direction = options.displacement * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
    shift = (size * math.cos(direction), size * math.sin(direction))
    angle, scale = math.radians(rng.uniform(-0.05, 0.05)), 1 + rng.uniform(-0.0005, 0.0005)
    centre = ((options.width - 1) / 2, (options.height - 1) / 2)
    to_dsdna = np.round(displacement_matrix(centre, shift, angle, scale), 9)
    between = rng.uniform(-0.3, 0.3, 2)  # measured between the stains: under 0.6 px
    to_ssdna = np.round(compose(pose_matrix(float(between[0]), float(between[1]), 0.0), to_dsdna), 9)
    return to_dsdna, to_ssdna


def _expose_brightfield(
    cells: list[SimulatedCell],
    particles: list[Particle],
    options: SimulationOptions,
    scene: Generator,
    camera: Generator,
) -> npt.NDArray[np.unsignedinteger[Any]]:
    shape = (options.height, options.width)
    specimen = np.zeros((2, *shape))
    for cell in cells:
        maps = np.stack(
            [optics.blur(cell.maps.thickness, cell.defocus), optics.blur(cell.maps.absorption, cell.defocus)]
        )
        _add_head(specimen, maps, cell.pose)
        x, y = apply(cell.pose, cell.tail.u, cell.tail.v)
        paint_beads(specimen[0], x, y, cell.tail.sigma, cell.tail.thickness, cell.tail.spacing)
    for particle in particles:
        x, y = np.array([particle.x]), np.array([particle.y])
        _paint_speck(specimen[0], x, y, particle.sigma, particle.thickness)
        _paint_speck(specimen[1], x, y, particle.sigma, 0.25 * particle.thickness)
    dim = scene.random() < 0.08  # a few real fields are much darker than the rest
    level = scene.uniform(70, 100) if dim else float(np.clip(scene.normal(138, 12), 105, 165))
    illumination = optics.illuminate(shape, level, scene)
    defocus = abs(options.defocus * scene.standard_normal())
    light = optics.brightfield(specimen[0], specimen[1], illumination, defocus, scene.uniform(0.75, 1.3))
    return optics.expose(light, options.bit_depth, camera, grain=1.6)


def _paint_stains(cell: SimulatedCell, to_dsdna: Floats, to_ssdna: Floats, stains: Floats) -> tuple[float, float]:
    """Add the stains of `cell` to `stains` [2, H, W]; give its own sums over its patch.

    The red stain is scaled so that the DFI of exactly those sums is the DFI of the cell.
    """
    to_crop = crop_matrix(cell.x, cell.y, cell.angle, CROP_PX)
    green = _StainLayer(cell, cell.maps.green, to_dsdna, stains.shape[1:])
    red = _StainLayer(cell, cell.maps.red, to_ssdna, stains.shape[1:])
    from_patch = compose(to_dsdna, invert(to_crop))
    green_sum = cell.brightness * green.total(from_patch)
    red_sum = green_sum * cell.fragmentation.dfi / (1 - cell.fragmentation.dfi)
    green.add_to(stains[0], cell.brightness)
    red.add_to(stains[1], red_sum / red.total(from_patch))
    return green_sum, red_sum


class _StainLayer:
    """The fluorescence of one cell alone, in a window of the field that holds head and tail; 1 at the head's base."""

    def __init__(self, cell: SimulatedCell, pattern: Floats, to_stain: Floats, shape: tuple[int, ...]) -> None:
        matrix = compose(to_stain, cell.pose)
        x, y = apply(matrix, cell.tail.u, cell.tail.v)
        reach = 1.5 * REACH
        self._left = max(0, math.floor(min(x.min(), matrix[0, 2] - reach)))
        self._top = max(0, math.floor(min(y.min(), matrix[1, 2] - reach)))
        right = min(shape[1], math.ceil(max(x.max(), matrix[0, 2] + reach)))
        bottom = min(shape[0], math.ceil(max(y.max(), matrix[1, 2] + reach)))
        self._pixels = np.zeros((bottom - self._top, right - self._left))
        self._to_window = pose_matrix(-self._left, -self._top, 0.0)
        sharp = optics.blur(pattern, 1.0 + cell.defocus)
        with_glare = sharp + 0.05 * optics.blur(sharp, 5.0) + 0.03 * optics.blur(sharp, 16.0)  # scattered light
        _add_head(self._pixels[None], with_glare[None], compose(self._to_window, matrix))
        tail = cell.tail
        paint_beads(self._pixels, x - self._left, y - self._top, tail.sigma, tail.stain, tail.spacing)

    def total(self, from_patch: Floats) -> float:
        """Sum over a patch, which `from_patch` takes to the pixels of the field."""
        return float(warp(self._pixels, compose(self._to_window, from_patch), (CROP_PX, CROP_PX)).sum())

    def add_to(self, plane: Floats, factor: float) -> None:
        """Add `factor` times this layer to a field [H, W], in place."""
        height, width = self._pixels.shape
        plane[self._top : self._top + height, self._left : self._left + width] += factor * self._pixels


def _add_head(canvas: Floats, maps: Floats, matrix: Floats) -> None:
    """Add `maps` [C, h, w], in the frame of a head, to `canvas` [C, H, W], in place."""
    reach = math.ceil(REACH * 1.42)
    x, y = round(float(matrix[0, 2])), round(float(matrix[1, 2]))
    left, right = max(0, x - reach), min(canvas.shape[2], x + reach + 1)
    top, bottom = max(0, y - reach), min(canvas.shape[1], y + reach + 1)
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float64)
    u, v = apply(invert(matrix), columns, rows)
    canvas[:, top:bottom, left:right] += sample(maps, u + REACH, v + REACH)


def _paint_speck(canvas: Floats, x: Floats, y: Floats, sigma: float, height: float) -> None:
    """Add one round spot with the peak `height`."""
    spacing = math.sqrt(2 * math.pi) * sigma  # a single bead of a ridge this sparse has the height of the ridge
    paint_beads(canvas, x, y, np.array([sigma]), np.array([height]), spacing)


def _crop(field: npt.NDArray[np.unsignedinteger[Any]], crop: Floats) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Cut a crop out of a field; black where it leaves the field, as in the real crops."""
    patch = warp(field, invert(crop), (CROP_PX, CROP_PX))
    return np.rint(np.round(patch, 6)).astype(field.dtype)


def _truth(cell: SimulatedCell, green: float, red: float, crop: Floats, overlapping: bool) -> CellTruth:
    return CellTruth(
        x=cell.x,
        y=cell.y,
        angle=cell.angle,
        length=cell.head.length,
        dfi=cell.fragmentation.dfi,
        visible=cell.fragmentation.visible,
        green_sum=green,
        red_sum=red,
        overlapping=overlapping,
        crop=crop,
        cues=cell.cues,
    )
