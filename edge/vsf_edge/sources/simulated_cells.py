"""What one simulated sperm cell does to the light: an image of it at several depths of focus, in pieces.

The looks are those that the simulated studies of the training side have, by description and not by shared code: heads
of about 100 x 65 px, dark at the base and pale at the acrosome, holes, a dark rim inside and a bright halo outside,
a midpiece and a long tail. Nothing here says anything about a DFI: it is a picture to try a live system with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import Generator

Floats: TypeAlias = npt.NDArray[np.float32]

BEFORE, AHEAD, BESIDE = 620, 110, 190
"""A cell's own frame reaches so many pixels behind the middle of its head, ahead of it, and to either side."""

FOCUS_STEP = 0.5
"""Between two depths that are rendered, in pixels of blur."""

_PIECE = 96  # so long is a piece of tail
_HEAD_REACH = 92  # half the length of the piece that holds the head and its halo
_HALO = 40  # a halo reaches so far around what makes it
_NOTHING = 0.004  # of the light: half a grey level, under the noise


@dataclass(frozen=True)
class Piece:
    """A part of a cell that is drawn by itself.

    Attributes
    ----------
    u, v
        Its middle in the frame of the head: u towards the tip, v to the right of it, in pixels.
    images
        float32 [h, w] per depth of focus: the part of the light that the cell adds (halo) or takes.
    """

    u: float
    v: float
    images: tuple[Floats, ...]


@dataclass(frozen=True)
class CellLooks:
    """How a cell looks: its head's length in pixels, points of its tail (u, v) [2, N], and its pieces."""

    length: float
    tail: Floats
    pieces: tuple[Piece, ...]


def render_cell(depths: int, rng: Generator) -> CellLooks:
    """Draw a cell at random and image it at `depths` depths of focus, :data:`FOCUS_STEP` apart, sharpest first."""
    half_length, half_width = rng.normal(50, 3), rng.normal(34.5, 2)
    tail, thickness = _tail(half_length, rng)
    absorption = np.zeros_like(thickness)
    around = slice(BESIDE - AHEAD, BESIDE + AHEAD + 1), slice(BEFORE - AHEAD, None)
    bending, taking = _head(half_length, half_width, rng)
    thickness[around] += bending
    absorption[around] = taking
    rows = np.flatnonzero(np.any(thickness > _NOTHING, axis=1))
    top = max(0, int(rows[0]) - _HALO)
    thickness, absorption = (plane[top : int(rows[-1]) + _HALO] for plane in (thickness, absorption))
    halo = rng.uniform(0.75, 1.3)
    own_blur = 0.6 * rng.exponential()
    images = [_image(thickness, absorption, math.hypot(step * FOCUS_STEP, own_blur), halo) for step in range(depths)]
    return CellLooks(2 * half_length, tail, tuple(_cut(images, BESIDE - top)))


def render_speck(depths: int, rng: Generator) -> Piece:
    """Draw a speck of debris at random."""
    side = np.arange(-47.5, 48, dtype=np.float32)
    sigma = rng.uniform(1.5, 3.5) if rng.random() < 0.6 else rng.uniform(4, 9)
    height = rng.uniform(0.3, 1.0) * (2.5 / sigma if sigma > 3.5 else 1)
    profile = np.exp(-0.5 * (side / sigma) ** 2)
    spot = np.asarray(height * np.outer(profile, profile), np.float32)
    return Piece(0.0, 0.0, tuple(_image(spot, 0.25 * spot, step * FOCUS_STEP, 1.0) for step in range(depths)))


def _head(half_length: float, half_width: float, rng: Generator) -> tuple[Floats, Floats]:
    """Give what bends light and what takes it, [2 * AHEAD + 1, 2 * AHEAD + 1] around the middle of the head."""
    v, u = np.mgrid[-AHEAD : AHEAD + 1, -AHEAD : AHEAD + 1].astype(np.float32)
    angle, radius = np.arctan2(v, u), np.hypot(u, v)
    outline = half_length * half_width / np.hypot(half_width * np.cos(angle), half_length * np.sin(angle))
    outline *= 1 + rng.normal(0.03, 0.06) * np.cos(angle) * np.abs(np.sin(angle)) * 2
    for order in (3, 4, 5):
        outline *= 1 + abs(rng.normal(0, 0.016)) * np.cos(order * angle + rng.uniform(0, 2 * math.pi))
    depth = outline - radius
    depth *= np.minimum(1.0, outline / half_length + 0.25)
    body = _rise(depth, 1.0, 2.5)

    border = half_length * (1 - 2 * (0.43 + 0.3 * math.tanh(0.45 * rng.standard_normal())))
    behind_border = u - border + 3.0 * _texture(9.0, rng) + 0.004 * rng.uniform(-3, 2) * v * v
    cap = _rise(behind_border, 0.0, rng.uniform(14, 45))
    cap_density = rng.uniform(0.3, 0.8)
    grain = 0.06 * math.exp(0.6 * rng.standard_normal()) * (0.4 * _texture(2.5, rng) + 0.9 * _texture(4.5, rng))
    holes = np.zeros_like(u)
    for _ in range(1 + int(rng.poisson(1.5))):
        along = rng.uniform(0.1, 0.7) if rng.random() < 0.75 else rng.uniform(-0.75, 0.1)
        across = rng.uniform(-0.65, 0.65) * math.sqrt(1 - along**2)
        away = np.hypot(u - along * half_length, v - across * half_width)
        holes = np.maximum(holes, _rise(rng.uniform(2, 6) - away, 0.0, 5.0))

    contrast = rng.uniform(0.65, 1.15)
    density = (1 - (1 - cap_density) * cap) * (0.85 + 0.15 * np.clip(depth / 25, 0, 1))
    thickness = contrast * body * density * (1 + 0.25 * grain - 0.15 * holes)
    dark_rim = 1.15 - 0.3 * np.clip(depth / 22, 0, 1)
    shade = 0.36 * dark_rim * (1 - 0.85 * cap * (1.15 - cap_density)) * (1 + 1.3 * grain - 0.7 * holes)
    absorption = contrast * body * np.clip(shade, -0.2, 0.8)
    return thickness.astype(np.float32), absorption.astype(np.float32)


def _tail(half_length: float, rng: Generator) -> tuple[Floats, Floats]:
    """Give points of a lazy wave from the neck on, [2, N], and its thickness [H, W]."""
    spacing, length = 1.0, float(np.clip(rng.normal(480, 70), 200, 560))
    along = np.arange(0, length, spacing)
    share = along / length
    bend = sum(
        rng.normal(0, 0.0025 / order) * np.sin(order * math.pi * share + rng.uniform(0, math.pi)) for order in (1, 2, 3)
    )
    heading = math.pi + rng.normal(0, 0.15) + np.cumsum(bend) * spacing
    u = -(half_length + 1) + np.cumsum(np.cos(heading)) * spacing
    v = rng.normal(0, 2) + np.cumsum(np.sin(heading)) * spacing
    midpiece = 1 / (1 + np.exp((along - 48) / 5))
    fade = np.clip((length - along) / 80, 0, 1) * rng.uniform(0.7, 1.1)
    fade *= np.clip((BESIDE - _HALO - np.abs(v)) / 40, 0, 1)  # one that bends out of the frame ends before it
    ridge = np.zeros((2 * BESIDE + 1, BEFORE + AHEAD + 1), np.float32)
    for sigma, height in ((2.4, 0.26 * (1 - midpiece)), (4.2, 0.56 * midpiece * (1 + 0.35 * _roughness(along, rng)))):
        dots = np.zeros_like(ridge)
        _splat(dots, u + BEFORE, v + BESIDE, height * fade * (math.sqrt(2 * math.pi) * sigma * spacing))
        ridge += _blur(dots, sigma)
    return np.stack([u, v]).astype(np.float32), ridge


def _roughness(along: npt.NDArray[np.float64], rng: Generator) -> npt.NDArray[np.float64]:
    return np.interp(along, along[::2], rng.standard_normal(len(along[::2])))


def _splat(canvas: Floats, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], weight: object) -> None:
    """Add points between pixels to `canvas`, shared among the four pixels around; outside nothing is added."""
    height, width = canvas.shape
    inside = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    x, y, values = x[inside], y[inside], np.broadcast_to(np.asarray(weight, np.float64), inside.shape)[inside]
    left, top = x.astype(np.intp), y.astype(np.intp)
    right_share, down_share = x - left, y - top
    for down, row_share in ((0, 1 - down_share), (1, down_share)):
        for right, column_share in ((0, 1 - right_share), (1, right_share)):
            np.add.at(canvas, (top + down, left + right), (values * row_share * column_share).astype(np.float32))


def _image(thickness: Floats, absorption: Floats, defocus: float, halo: float) -> Floats:
    """Image a specimen a little out of focus: dark rims, bright halos, and a faint dark fringe around them."""
    thin, shade = _blur(thickness, defocus), _blur(absorption, defocus)
    near = _blur(thin, 2.3 + 0.35 * defocus)
    middle = _blur(near, 4.8 + 0.9 * defocus)
    far = _blur(middle, 8.0 + 2.0 * defocus)
    strength = 5.8 * halo / (1 + 0.1 * defocus)
    edges = strength * (near - middle) - 0.15 * strength * (middle - far)
    edges[edges > 0] *= 0.5  # the light that a halo gains is more than what a rim loses
    return np.asarray(-edges - _blur(np.minimum(shade, 0.85), 1.4 + 0.4 * defocus), np.float32)


def _cut(images: list[Floats], middle: int) -> list[Piece]:
    """Cut a cell, whose middle row is given, into the head and lengths of tail, and leave out what shows nothing.

    A rotated piece is mostly filled, a rotated whole cell mostly empty. What the pieces show adds up to the cell: at a
    common border each gives its share of a pixel.
    """
    seen = np.max(np.abs(np.stack(images)), axis=0) > _NOTHING
    first = BEFORE - _HEAD_REACH
    lengths = [slice(first, 2 * _HEAD_REACH + 1 + first)]
    lengths += [slice(max(left, 0), left + _PIECE) for left in range(first - _PIECE, -_PIECE, -_PIECE)]
    pieces = []
    for columns in lengths:
        rows = np.flatnonzero(seen[:, columns].any(axis=1))
        if rows.size:
            top, bottom = int(rows[0]), int(rows[-1]) + 1
            u, v = (columns.start + columns.stop - 1) / 2 - BEFORE, (top + bottom - 1) / 2 - middle
            pieces.append(Piece(u, v, tuple(np.ascontiguousarray(image[top:bottom, columns]) for image in images)))
    return pieces


def _rise(value: Floats, at: float, width: float) -> Floats:
    """Rise smoothly from 0 to 1 around `at`, over about `width`."""
    ramp = np.clip((value - at) / width + 0.5, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def _texture(sigma: float, rng: Generator) -> Floats:
    """Smooth noise of mean 0 and standard deviation 1 over the frame of a head."""
    smooth = _blur(rng.standard_normal((2 * AHEAD + 1, 2 * AHEAD + 1)).astype(np.float32), sigma)
    return np.asarray((smooth - smooth.mean()) / smooth.std())


def _blur(image: Floats, sigma: float) -> Floats:
    if sigma < 0.2:
        return image
    side = 2 * round(3 * sigma) + 1
    return np.asarray(cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)
