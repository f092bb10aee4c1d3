"""Where a head may be: places that are darker than a ring around them, at any angle."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.detectors.frame_planes import FramePlanes

MIDDLE, RING = 0.2, 0.36
"""Standard deviations, in head lengths, of the blurs whose difference is the response; as wide as a head and its
halo."""

MOST_NOISE = 4.0
"""Contrast counts up to this many times the noise of the search plane: black dirt weighs no more than a head."""

LEAST_RESPONSE = 0.17
"""Share of the largest response that makes a place; heads have 0.26 to 0.5 of it, specks and tails mostly less."""

APART = 0.5
"""Of two places nearer than half of this (head lengths), the weaker one is left out."""

MOST_PLACES = 64
"""So that a frame of dirt does not stop a live view."""


def head_places(planes: FramePlanes) -> npt.NDArray[np.float64]:
    """Give the places at which a head may lie, strongest first: float64 [N, 2], x and y in pixels of `reading`.

    N is up to :data:`MOST_PLACES`. The middle of a head is up to a sixth of its length away.
    """
    length = planes.length / planes.search_factor
    ripple = planes.search - cv2.blur(planes.search, (3, 3))
    # every second pixel is enough; and the blur holds a ninth of the pixel itself
    noise = 1.4826 * float(np.median(np.abs(ripple[::2, ::2]))) / np.sqrt(8 / 9)
    most = MOST_NOISE * max(noise, planes.noise / planes.search_factor)
    signs = np.clip(planes.search / np.float32(most), -1, 1)
    response = cv2.GaussianBlur(signs, (0, 0), RING * length) - cv2.GaussianBlur(signs, (0, 0), MIDDLE * length)
    size = round(APART * length) | 1
    highest = cv2.dilate(response, np.ones((size, size), np.uint8))
    y, x = np.nonzero((response == highest) & (response > LEAST_RESPONSE))
    order = np.argsort(-response[y, x], kind="stable")[:MOST_PLACES]
    places = np.stack([x[order], y[order]], axis=1).astype(np.float64)
    return (places + 0.5) * planes.search_factor - 0.5
