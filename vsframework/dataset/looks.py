"""What one channel of a field looks like, in a few numbers: enough to see that something is wrong with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from vsframework.images import Image

SATURATED = 1e-3
"""Share of pixels at full scale from which a sum over them is too small."""

EVERY = 4
"""Percentiles are taken of every fourth pixel of every fourth row."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a channel looks like.

    Attributes
    ----------
    shape
        Height and width in pixels.
    bit_depth, pixel_size_um
        Of the image.
    largest
        Its largest count.
    saturated
        Share of its pixels at full scale; 0 for float32, which has none.
    blank
        Whether all pixels are the same.
    darkness
        Where its bright pixels (99.9th percentile) are 1 and its dark ones (1st) 0: how far the median lies below 1.
        Fluorescence, dark with few bright cells, is near 1; brightfield, bright with darker cells, is lower.
    light
        Mean count above its median: what the cells add to the background.
    digest
        The same for the same pixels.
    """

    shape: tuple[int, int]
    bit_depth: int
    pixel_size_um: float | None
    largest: float
    saturated: float
    blank: bool
    darkness: float
    light: float
    digest: str

    @property
    def size(self) -> str:
        """Width and height, in pixels."""
        return f"{self.shape[1]}x{self.shape[0]}"

    def record(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "width": self.shape[1],
            "height": self.shape[0],
            "bit_depth": self.bit_depth,
            "pixel_size_um": self.pixel_size_um,
            "largest": self.largest,
            "saturated": self.saturated,
        }


def look_at(image: Image) -> Look:
    """Look at `image`; of several planes, at the middle one for everything but saturation and its digest."""
    pixels = image.pixels
    plane = np.asarray(pixels[len(pixels) // 2])
    sample = plane[::EVERY, ::EVERY].astype(np.float64)
    dark, median, bright = np.percentile(sample, (1, 50, 99.9))
    counts = pixels.dtype.kind == "u"
    return Look(
        shape=(plane.shape[0], plane.shape[1]),
        bit_depth=image.bit_depth,
        pixel_size_um=image.pixel_size_um,
        largest=float(np.asarray(pixels.max())),
        saturated=float(np.mean(pixels == 2**image.bit_depth - 1)) if counts else 0.0,
        blank=bool((pixels == pixels.flat[0]).all()),
        darkness=float((bright - median) / (bright - dark)) if bright > dark else 0.0,
        light=float(np.clip(sample - median, 0, None).mean()),
        digest=hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).hexdigest(),
    )


def suspicions_of_image(name: str, look: Look) -> list[str]:
    """Say what looks wrong with one image, called `name`, by itself."""
    if look.blank:
        return [f"{name} is blank: every pixel is {look.largest:g}"]
    if look.saturated > SATURATED:
        return [f"{look.saturated:.1%} of {name} is saturated"]
    return []
