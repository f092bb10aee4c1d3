"""What can be measured of a sperm head in brightfield without learning: shape, darkness, texture.

The head lies in the middle with its axis horizontal, as the crops of McCallum et al. 2019 and those of
``vsf dataset build``. Everything is the same for a patch and its mirror image above and below the axis.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from vsf_plugins.regressors.transmission import Image, transmission

SHAPE_SIDE, TEXTURE_SIDE, TEXTURE_KEPT = 150, 64, 0.88
HEAD_AXES = (42, 28)
"""Half the length and width, of 150, of the ellipse that lies inside a typical head."""
SCALES, ORIENTATIONS, ROWS, COLUMNS = (1.2, 2.2, 4.0), 6, 4, 6
"""Of the Gabor filters (in pixels of 64) and of the grid over which their energy is averaged."""
FILTER_PX = 25
LEAST_ENERGY = 0.01
"""Below the noise of an 8-bit camera; keeps the logarithm of an empty part finite."""

REMEMBERED = 10_000
"""Planes whose descriptors are kept, 5 KB each."""
_remembered: dict[bytes, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = {}


def describe(brightfield: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Describe patches [N, P, H, W], counts, each by itself: the head [N, D] and its texture [N, E], finite."""
    found = [
        [_describe_plane(np.ascontiguousarray(plane, dtype=np.float32)) for plane in patch] for patch in brightfield
    ]
    heads = [[head for head, _ in planes] for planes in found]
    textures = [[texture for _, texture in planes] for planes in found]
    return _table(heads), _table(textures)


def _describe_plane(plane: Image) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Describe one plane; what was described lately is remembered: holding out donors in turn asks for all again."""
    key = blake2b(plane.tobytes() + repr(plane.shape).encode(), digest_size=16).digest()
    described = _remembered.get(key)
    if described is None:
        if len(_remembered) >= REMEMBERED:
            _remembered.clear()
        described = _head(transmission(plane, SHAPE_SIDE)), _texture(transmission(plane, TEXTURE_SIDE, TEXTURE_KEPT))
        _remembered[key] = described
    return described


def _table(found: list[list[npt.NDArray[np.float64]]]) -> npt.NDArray[np.float64]:
    """One row per patch, its planes one after the other; no patch has no columns."""
    return np.array(found, dtype=np.float64).reshape(len(found), -1 if found else 0)


def _head(light: Image) -> npt.NDArray[np.float64]:
    """Size and shape of the dark head, its darkness, its roughness at four scales, and its profile along the axis."""
    inside = _ellipse()
    mask = _mask(light)
    values = [*_shape(mask), *_levels(light[mask]), *_levels(light[inside])]
    deviation = light[mask] - light[mask].mean()
    skewness = float((deviation**3).mean() / max(1e-9, float(deviation.std()) ** 3))
    values += [skewness, light[inside].mean() - light[~inside].mean(), light[~inside].std(), light.max(), light.min()]
    blurred = [cv2.GaussianBlur(light, (0, 0), scale) for scale in (1, 2, 4, 8, 16)]
    for fine, coarse in pairwise(blurred):
        band = fine - coarse
        head = band[inside]
        values += [head.std(), band[mask].std(), head.max(), head.min(), np.abs(band[~inside]).mean()]
    for start, stop in ((30, 50), (50, 70), (70, 90), (90, 110), (110, 125)):  # from the tail to the tip
        part = light[60:90, start:stop]
        values += [part.mean(), part.std()]
    return np.array(values, dtype=np.float64)


def _mask(light: Image) -> npt.NDArray[np.bool_]:
    """Segment the head by Otsu's threshold, closed and opened; the typical ellipse where nothing dark is central."""
    smooth = cv2.GaussianBlur(light, (0, 0), 1.5)
    low, high = float(smooth.min()), float(smooth.max())
    grey = np.rint(255 * (smooth - low) / max(1e-9, high - low)).astype(np.uint8)
    threshold, _ = cv2.threshold(grey[30:120, 20:130], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = (grey <= threshold).astype(np.uint8)
    for operation, size in ((cv2.MORPH_CLOSE, 15), (cv2.MORPH_OPEN, 13)):
        dark = cv2.morphologyEx(dark, operation, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    _, labels, _, centers = cv2.connectedComponentsWithStats(dark)
    chosen = labels[SHAPE_SIDE // 2, SHAPE_SIDE // 2]
    if not chosen and len(centers) > 1:
        chosen = 1 + int(np.hypot(*(centers[1:] - (SHAPE_SIDE - 1) / 2).T).argmin())
    found: npt.NDArray[np.bool_] = labels == chosen if chosen else _ellipse()
    return found


def _shape(mask: npt.NDArray[np.bool_]) -> list[float]:
    """Area, eccentricity, solidity, length and width of the ellipse with the same moments, and extent."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    area = moments["m00"]
    matrix = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / area
    minor, major = 4 * np.sqrt(np.maximum(np.linalg.eigvalsh(matrix), 1e-9))
    outline = max(outlines, key=cv2.contourArea)
    hull = max(1.0, cv2.contourArea(cv2.convexHull(outline)))
    _, _, width, height = cv2.boundingRect(outline)
    return [area, float(np.sqrt(1 - (minor / major) ** 2)), area / hull, major, minor, area / (width * height)]


def _levels(light: Image) -> list[float]:
    return [float(light.mean()), float(light.std()), *np.percentile(light, [2, 10, 50, 90, 98]).tolist()]


def _texture(light: Image) -> npt.NDArray[np.float64]:
    """Logarithm of the Gabor energy per scale, orientation and place, and the shrunken patch, both made symmetrical."""
    padded = np.pad(light, FILTER_PX // 2, mode="reflect")
    responses = fft.ifft2(fft.fft2(padded) * _filters(), overwrite_x=True)[:, FILTER_PX - 1 :, FILTER_PX - 1 :]
    averaged = [cv2.resize(np.abs(one), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA) for one in responses]
    energy = np.log(LEAST_ENERGY + np.stack(averaged)).reshape(len(SCALES), ORIENTATIONS, ROWS, COLUMNS)
    mirrored = energy[:, (-np.arange(ORIENTATIONS)) % ORIENTATIONS, ::-1]
    small = cv2.resize(light, (2 * ROWS, 2 * ROWS), interpolation=cv2.INTER_AREA)
    return np.concatenate([((energy + mirrored) / 2).ravel(), ((small + small[::-1]) / 2).ravel()]).astype(np.float64)


@cache
def _filters() -> npt.NDArray[np.complex64]:
    """Fourier transforms [scales x orientations, side, side] of the Gabor filters; a flat patch gives 0."""
    side = TEXTURE_SIDE + FILTER_PX - 1
    found = np.zeros((len(SCALES) * ORIENTATIONS, side, side), np.complex64)
    for index in range(len(found)):
        scale, turn = SCALES[index // ORIENTATIONS], index % ORIENTATIONS
        shape = (FILTER_PX, FILTER_PX), scale, np.pi * turn / ORIENTATIONS, 3.2 * scale, 0.7
        even, odd = (cv2.getGaborKernel(*shape, phase) for phase in (0.0, np.pi / 2))
        filtered = even + 1j * odd
        found[index, :FILTER_PX, :FILTER_PX] = filtered - filtered.mean()
    transformed: npt.NDArray[np.complex64] = fft.fft2(found)
    return transformed


@cache
def _ellipse() -> npt.NDArray[np.bool_]:
    rows, columns = np.mgrid[:SHAPE_SIDE, :SHAPE_SIDE] - (SHAPE_SIDE - 1) / 2
    found: npt.NDArray[np.bool_] = np.hypot(columns / HEAD_AXES[0], rows / HEAD_AXES[1]) < 1
    return found
