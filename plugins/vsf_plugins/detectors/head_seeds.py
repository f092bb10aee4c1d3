"""Where to look for heads: dark blobs of about the right size and shape, at any grey level."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from vsf_plugins.detectors.field_relief import WORKING_LENGTH, FieldRelief
from vsf_plugins.detectors.head_outline import Ellipses, outline_coverage

LEVELS = 16
"""Grey levels at which the field is cut; a head and what it touches come apart at one of them."""

OPENINGS = (0.22, 0.38)
"""Diameters, in head lengths, of the discs that drop midpieces and tails, and then wide necks."""

MIN_FILL, MIN_COVERAGE = 0.8, 0.4
"""How much of its own ellipse a blob fills, and how much of that ellipse has a halo."""

LONGEST = 2.3


def head_seeds(relief: FieldRelief, lengths: tuple[float, float], rise: float) -> list[Ellipses]:
    """Give ellipses [5] near which a head may lie, most promising first; several per head.

    Parameters
    ----------
    lengths
        Shortest and longest head, working pixels.
    rise
        Counts from inside to halo that count as an outline.
    """
    rated = []
    for ellipse, fill in _blobs(relief.relief, lengths):
        coverage = outline_coverage(relief, ellipse, rise)
        if coverage >= MIN_COVERAGE:
            rated.append((coverage * fill, ellipse))
    seeds: list[Ellipses] = []
    for _, ellipse in sorted(rated, key=lambda pair: -pair[0]):
        apart = [float(np.hypot(*(ellipse[:2] - other[:2]))) / WORKING_LENGTH for other in seeds]
        if sum(distance < 0.12 for distance in apart) < 1 and sum(distance < 0.5 for distance in apart) < 4:
            seeds.append(ellipse)
    return seeds


def _blobs(image: npt.NDArray[np.float32], lengths: tuple[float, float]) -> Iterator[tuple[Ellipses, float]]:
    darkest, brightest = np.percentile(image, [0.05, 99.95])
    discs = [
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        for size in (round(share * WORKING_LENGTH) | 1 for share in OPENINGS)
    ]
    for level in np.linspace(0.75 * darkest, 0.4 * brightest, LEVELS):
        dark = (image < level).astype(np.uint8)
        for disc in discs:
            yield from _components(cv2.morphologyEx(dark, cv2.MORPH_OPEN, disc), lengths)


def _components(dark: npt.NDArray[np.generic], lengths: tuple[float, float]) -> Iterator[tuple[Ellipses, float]]:
    height, width = dark.shape
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8, copy=False), connectivity=4)
    for label, (left, top, wide, high, _) in enumerate(boxes):
        at_border = left <= 1 or top <= 1 or left + wide >= width - 1 or top + high >= height - 1
        if label == 0 or at_border or not 0.6 * lengths[0] <= max(wide, high) <= 1.1 * lengths[1]:
            continue
        blob = (labels[top : top + high, left : left + wide] == label).astype(np.uint8)
        rims, _ = cv2.findContours(blob, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(blob, rims, -1, 1, -1)  # bright vacuoles are holes in a head
        moments = cv2.moments(blob, True)
        area = moments["m00"]
        spread = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / area
        variances, axes = np.linalg.eigh(spread)
        half_width, half_length = 2 * np.sqrt(np.maximum(variances, 1e-6))
        fill = area / (np.pi * half_width * half_length)
        if half_length > LONGEST * half_width or fill < MIN_FILL:
            continue
        x, y = moments["m10"] / area + left, moments["m01"] / area + top
        yield np.array([x, y, half_length, half_width, np.arctan2(axes[1, 1], axes[0, 1])]), float(fill)
