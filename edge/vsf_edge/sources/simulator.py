"""Cells that move, drift and go out of focus, without a microscope: ``--source simulator``."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from vsf_edge.errors import EdgeUsageError
from vsf_edge.frames import Detection, Frame, Pixels
from vsf_edge.settings import read_settings, setting
from vsf_edge.sources.simulated_cells import FOCUS_STEP, CellLooks, Floats, Piece, render_cell, render_speck

PIXEL_SIZE_UM = 0.05
"""A head of 5 um is 100 px long."""

_LEVEL = 138.0  # grey levels of 255 where nothing lies
_NOISE = (1.42, 1.6)  # grey levels: shot noise at that level, and the coarse grain of a camera
_SLIDES = 256  # so far the noise is slid about from frame to frame
_BORDER = 156  # nothing that is drawn reaches farther from its middle
_BUFFER = 8  # frames that wait for a late reader, as in the buffer of a camera driver
_PACE = 25.0  # simulated frames per second where they are given as fast as they are taken
_DEBRIS = 4e-6  # specks per pixel


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """What can be set about the simulated camera and its cells."""

    width: int = setting(1024, "Width of a frame in pixels.", low=128, high=8192)
    height: int = setting(1024, "Height of a frame in pixels.", low=128, high=8192)
    cells: int = setting(6, "Heads in view, on average.", low=0, high=200)
    fps: float = setting(25.0, "Frames per second; 0 gives every frame as fast as it is taken.", low=0, high=1000)
    seed: int = setting(0, "The same seed gives the same frames.", low=0, high=2**53)
    bit_depth: int = setting(8, "Bits of a count.", choices=(8, 12, 16))
    drift: float = setting(6.0, "How fast the stage drifts, in pixels per second.", low=0, high=2000)
    wiggle: float = setting(3.0, "How far a cell moves about its place, in pixels.", low=0, high=100)
    defocus: float = setting(1.5, "How far the focus wanders to either side, in pixels of blur.", low=0, high=8)


@dataclass(frozen=True)
class _Pose:
    x: float
    y: float
    angle: float
    focus: float


@dataclass(frozen=True)
class _Cell:
    """A cell: how it looks, its place on the slide, and the phases of its movements."""

    looks: CellLooks
    x: float
    y: float
    angle: float
    phases: tuple[float, float, float]
    height: float


class Simulator:
    """A camera over simulated cells; a source of kind ``simulator``.

    Frame number n of a seed is always the same image. Cells wiggle about their places on a slide that drifts; what
    leaves on one side comes back on the other. Frames that nobody takes in time are lost, as with a camera, and also
    where this computer cannot draw as fast as `fps` asks.
    """

    settings = SimulatorSettings

    def __init__(self, address: str = "", **given: object) -> None:
        self._set = read_settings(SimulatorSettings, given, "source simulator")
        if address:
            raise EdgeUsageError(
                f"source simulator takes no address, and {address!r} was given: set it with -O KEY=VALUE"
            )
        self._slide: _Slide | None = None
        self._next, self._lost, self._start = 0, 0, 0.0

    @property
    def live(self) -> bool:
        """Whether it is paced."""
        return self._set.fps > 0

    def open(self) -> None:
        """Draw the cells (a second or so for ten) and start the clock."""
        self._slide = self._slide or _Slide(self._set)
        self._next, self._lost, self._start = 0, 0, time.monotonic()

    def read(self, timeout: float) -> Frame | None:
        """Give the next frame, when its time has come."""
        if self._set.fps:
            behind = int((time.monotonic() - self._start) * self._set.fps) - self._next
            if behind > _BUFFER:
                self._lost += behind
                self._next += behind
            wait = self._start + self._next / self._set.fps - time.monotonic()
            if wait > timeout:
                time.sleep(timeout)
                return None
            time.sleep(max(wait, 0.0))
        number = self._next
        self._next += 1
        pixels = self.render(number)
        return Frame(
            pixels=pixels,
            number=number,
            captured=time.monotonic(),
            time=time.time(),
            bit_depth=self._set.bit_depth,
            pixel_size_um=PIXEL_SIZE_UM,
            metadata={"simulated": True, "seed": self._set.seed},
        )

    def close(self) -> None:
        """Stop; the drawn cells are kept for the next `open`."""

    def lost(self) -> int:
        """Give how many frames nobody took in time."""
        return self._lost

    def render(self, number: int) -> Pixels:
        """Give the image of frame `number`, uint8 or uint16 [H, W]."""
        return self._drawn().image(number)

    def heads(self, number: int) -> Sequence[Detection]:
        """Give where the heads that are whole truly lie in frame `number`: what a detector should find."""
        return self._drawn().heads(number)

    def _drawn(self) -> _Slide:
        if self._slide is None:
            self._slide = _Slide(self._set)
        return self._slide


class _Slide:
    """Everything that is drawn once, and the images of it."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._set = settings
        rng = Generator(PCG64(settings.seed))
        self._rate = settings.fps or _PACE
        self._depths = 1 + math.ceil(1.5 * settings.defocus / FOCUS_STEP)
        self._period = (settings.width + 2 * _BORDER, settings.height + 2 * _BORDER)
        more = self._period[0] * self._period[1] / (settings.width * settings.height)
        self._drift_angle = rng.uniform(0, 2 * math.pi)
        self._light = _illuminate(settings.width, settings.height, rng)
        self._noise = _noise(settings.width + _SLIDES, settings.height + _SLIDES, rng)
        places = _places(round(settings.cells * more), self._period, rng)
        self._cells: list[_Cell] = []
        for x, y in places:
            looks = render_cell(self._depths, rng)
            angle = _clear_angle(looks, x, y, places, self._period, rng)
            phases = (rng.uniform(0, 6.28), rng.uniform(0, 6.28), rng.uniform(0, 6.28))
            self._cells.append(_Cell(looks, x, y, angle, phases, 0.5 * settings.defocus * rng.uniform(-1, 1)))
        specks = int(rng.poisson(_DEBRIS * self._period[0] * self._period[1])) if settings.cells else 0
        self._specks = [
            (render_speck(self._depths, rng), rng.uniform(0, self._period[0]), rng.uniform(0, self._period[1]))
            for _ in range(specks)
        ]

    def image(self, number: int) -> Pixels:
        change = np.ones((self._set.height, self._set.width), np.float32)
        moment = number / self._rate
        focus = self._focus(moment)
        for cell in self._cells:
            pose = self._pose(cell, moment)
            for piece in cell.looks.pieces:
                self._add(change, piece, pose)
        shift_x, shift_y = self._drift(moment)
        for speck, x, y in self._specks:
            self._add(change, speck, _Pose(x + shift_x, y + shift_y, 0.0, abs(focus)))
        return self._expose(change, number)

    def heads(self, number: int) -> list[Detection]:
        found = []
        for cell in self._cells:
            pose = self._pose(cell, number / self._rate)
            x, y = self._wrapped(pose.x, pose.y)
            reach = cell.looks.length / 2
            if reach <= x < self._set.width - reach and reach <= y < self._set.height - reach:
                angle = math.remainder(pose.angle, 2 * math.pi)
                found.append(Detection(x=x, y=y, angle=angle, length=cell.looks.length, score=1.0))
        return found

    def _focus(self, moment: float) -> float:
        """Where the focus is: a slow wave, in pixels of blur to either side."""
        return self._set.defocus * math.sin(2 * math.pi * moment / 24)

    def _drift(self, moment: float) -> tuple[float, float]:
        way = self._set.drift * moment
        return way * math.cos(self._drift_angle), way * math.sin(self._drift_angle)

    def _pose(self, cell: _Cell, moment: float) -> _Pose:
        first, second, third = cell.phases
        shift_x, shift_y = self._drift(moment)
        return _Pose(
            x=cell.x + shift_x + self._set.wiggle * math.sin(2 * math.pi * moment / 3.1 + first),
            y=cell.y + shift_y + self._set.wiggle * math.sin(2 * math.pi * moment / 4.3 + second),
            angle=cell.angle + 0.015 * self._set.wiggle * math.sin(2 * math.pi * moment / 5.9 + third),
            focus=abs(self._focus(moment) + cell.height),
        )

    def _wrapped(self, x: float, y: float) -> tuple[float, float]:
        return x % self._period[0] - _BORDER, y % self._period[1] - _BORDER

    def _add(self, change: Floats, piece: Piece, pose: _Pose) -> None:
        """Add a piece where it lies now. Each piece comes back on the other side by itself, out of sight."""
        cosine, sine = math.cos(pose.angle), math.sin(pose.angle)
        x, y = self._wrapped(pose.x + cosine * piece.u - sine * piece.v, pose.y + sine * piece.u + cosine * piece.v)
        image = piece.images[min(round(pose.focus / FOCUS_STEP), self._depths - 1)]
        half_u, half_v = (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2
        across = math.ceil((half_u + 1) * abs(cosine) + (half_v + 1) * abs(sine))
        down = math.ceil((half_u + 1) * abs(sine) + (half_v + 1) * abs(cosine))
        left, right = max(0, math.floor(x) - across), min(self._set.width, math.ceil(x) + across + 1)
        top, bottom = max(0, math.floor(y) - down), min(self._set.height, math.ceil(y) + down + 1)
        if left >= right or top >= bottom:
            return
        to_window = np.array(
            [
                [cosine, -sine, x - left - cosine * half_u + sine * half_v],
                [sine, cosine, y - top - sine * half_u - cosine * half_v],
            ]
        )
        window = change[top:bottom, left:right]
        drawn = cv2.warpAffine(image, to_window, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
        np.add(window, drawn, out=window)

    def _expose(self, change: Floats, number: int) -> Pixels:
        slide = Generator(PCG64(SeedSequence(self._set.seed, spawn_key=(number,)))).integers(0, _SLIDES, 2)
        noise = self._noise[slide[1] : slide[1] + self._set.height, slide[0] : slide[0] + self._set.width]
        cv2.multiply(change, self._light, dst=change)
        cv2.add(change, noise, dst=change)
        np.multiply(change, np.float32(1 << (self._set.bit_depth - 8)), out=change)
        np.rint(change, out=change)
        np.clip(change, 0, 2**self._set.bit_depth - 1, out=change)
        return change.astype(np.uint8) if self._set.bit_depth == 8 else change.astype(np.uint16)


def _illuminate(width: int, height: int, rng: Generator) -> Floats:
    """Light an empty field: a slope and darker corners, in grey levels."""
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    slope_x, slope_y = rng.normal(0, 0.02, 2)
    corners = rng.uniform(0.03, 0.09) * (x**2 + y**2 - 0.66)
    return np.asarray(_LEVEL * (1 + slope_x * x + slope_y * y - corners), np.float32)


def _noise(width: int, height: int, rng: Generator) -> Floats:
    """Noise of the camera in grey levels; that it does not depend on the light is under what anybody would see."""
    fine = rng.standard_normal((height, width), dtype=np.float32)
    coarse = cv2.GaussianBlur(rng.standard_normal((height, width), dtype=np.float32), (7, 7), 1.1)
    return np.asarray(_NOISE[0] * fine + _NOISE[1] / coarse.std() * coarse, np.float32)


def _places(count: int, period: tuple[int, int], rng: Generator) -> list[tuple[float, float]]:
    """Scatter places on a slide without ends, as far apart as there is room."""
    places: list[tuple[float, float]] = []
    apart = 260.0
    while len(places) < count:
        for _ in range(60):
            x, y = rng.uniform(0, period[0]), rng.uniform(0, period[1])
            if all(_away(x - a, y - b, period) >= apart for a, b in places):
                places.append((x, y))
                break
        else:
            apart *= 0.93
    return places


def _clear_angle(
    looks: CellLooks,
    x: float,
    y: float,
    places: Sequence[tuple[float, float]],
    period: tuple[int, int],
    rng: Generator,
) -> float:
    """Turn a cell so that its tail lies far from the other heads, where there is room."""
    others = np.array([place for place in places if place != (x, y)]).reshape(-1, 2)
    best, widest = 0.0, -1.0
    for angle in rng.uniform(-math.pi, math.pi, 12).tolist():
        cosine, sine = math.cos(angle), math.sin(angle)
        u, v = looks.tail[:, ::16].astype(np.float64)
        points = np.stack([x + cosine * u - sine * v, y + sine * u + cosine * v], axis=1)
        offsets = points[:, None] - others[None]
        offsets -= np.round(offsets / np.array(period)) * np.array(period)
        clearance = float(np.hypot(offsets[..., 0], offsets[..., 1]).min(initial=1e9))
        if clearance > widest:
            best, widest = angle, clearance
    return best


def _away(x: float, y: float, period: tuple[int, int]) -> float:
    return math.hypot(math.remainder(x, period[0]), math.remainder(y, period[1]))
