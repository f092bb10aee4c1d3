"""Light and camera: what the objective makes of thickness and absorption, and what the sensor makes of light.

Light is in 8-bit grey levels until the camera digitises it.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from vsframework.simulation.geometry import Floats

FULL_WELL_LEVELS = 255.0
ELECTRONS_PER_LEVEL = 70.0
"""Shot noise of the real fluorescence fields: 1.4 levels at 130, 0.5 at 15."""

READ_NOISE_LEVELS = 0.25

_FINEST_STEP = 1 / 256
"""Light is rounded to this many grey levels before noise, so that rounding errors, which differ between processors,
vanish."""


def blur(image: Floats, sigma: float) -> Floats:
    """Blur `image` [H, W] by a Gaussian of `sigma` pixels, in float64; below 0.2 px nothing changes."""
    if sigma < 0.2:
        return image
    side = 2 * round(3.5 * sigma) + 1
    blurred: Floats = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101).astype(np.float64)
    return blurred


def brightfield(
    thickness: Floats, absorption: Floats, illumination: Floats, defocus: float, strength: float = 1.0
) -> Floats:
    """Image a specimen under slightly defocused brightfield light.

    An edge of thickness sends light outwards: a dark rim inside, a bright halo outside, and a faint dark fringe
    around it (differences of Gaussians, a stand-in for the transport of intensity). Out of focus all of it gets wider
    and weaker.

    Parameters
    ----------
    thickness, absorption
        [H, W]; 1 and 0.36 at the base of a typical head.
    illumination
        [H, W], the empty field in grey levels.
    defocus
        Blur in pixels; 0 is the plane of best contrast.
    strength
        Of the halo; 1 is typical (a closed condenser aperture gives more, an open one less).
    """
    near = blur(thickness, 2.3 + 0.35 * defocus)
    middle = blur(near, 4.8 + 0.9 * defocus)
    far = blur(middle, 8.0 + 2.0 * defocus)
    contrast = 5.8 * strength / (1 + 0.1 * defocus)
    edges = contrast * (near - middle) - 0.15 * contrast * (middle - far)
    edges = np.where(edges > 0, 0.5 * edges, edges)  # real halos are brighter than their rims are dark
    shade = blur(np.minimum(absorption, 0.85), 1.4 + 0.4 * defocus)
    return np.asarray(illumination * np.clip(1 - shade - edges, 0.0, None))


def illuminate(shape: tuple[int, int], level: float, rng: Generator) -> Floats:
    """Light an empty field unevenly: darker towards the corners, a slope, and slow clouds; mean about `level`."""
    height, width = shape
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None, :]
    slope_x, slope_y, centre_x, centre_y = rng.normal(0, (0.03, 0.03, 0.25, 0.25))
    vignette = rng.uniform(0.03, 0.12)
    down = np.cos(np.pi * np.arange(1, 5) * (y + 1) / 2)
    across = np.cos(np.pi * np.arange(1, 7)[:, None] * (x + 1) / 2)
    slow = down @ rng.normal(0, 0.003, (4, 6)) @ across
    falloff = vignette * ((x - centre_x) ** 2 + (y - centre_y) ** 2 - 0.66)
    return np.asarray(level * (1 + slope_x * x + slope_y * y - falloff + slow))


def expose(
    light: Floats, bit_depth: Literal[8, 12, 16], rng: Generator, grain: float = 0.0, noise: float = 1.0
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Take a picture of `light` [H, W] (grey levels): shot noise, read noise, saturation, digitisation.

    `grain` is the standard deviation, in grey levels, of a noise that neighbouring pixels share (vibrating dirt,
    interpolation in the camera); `noise` multiplies the standard deviation of shot and read noise. Gives uint8, or
    uint16 with 16 (12 bit) or 256 (16 bit) steps per 8-bit grey level.
    """
    steady = np.round(np.clip(light, 0, None) / _FINEST_STEP) * _FINEST_STEP
    deviation = rng.standard_normal(light.shape)
    deviation *= noise * np.sqrt(steady / ELECTRONS_PER_LEVEL + READ_NOISE_LEVELS**2)
    if grain:
        coarse = blur(rng.standard_normal(light.shape), 1.1)
        deviation += coarse * (grain * 3.9)  # a blur by 1.1 px leaves 1/3.9 of the standard deviation
    gain = 1 << (bit_depth - 8)
    top = 2**bit_depth - 1
    return np.clip(np.rint((steady + deviation) * gain), 0, top).astype(np.uint8 if bit_depth == 8 else np.uint16)
