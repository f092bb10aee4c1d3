"""Images larger than a training patch, part by part.

Two ways, and which one is right is a property of the network. One that sees only so far (its halo) is given parts with
that much around them: the result is that of the whole image, with no seam to hide. One that looks at all of what it is
given has only ever seen patches: it gets tiles of that size, blended with weights that fall to 0 at their border.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Stain: TypeAlias = Callable[[Float32Array], Float32Array]
"""Takes images [N, planes, H, W] and gives their stains [N, channels, H, W]."""
StainInto: TypeAlias = Callable[[Float32Array, tuple[slice, slice], Float32Array], object]
"""Takes one image [planes, H, W], and writes the stains of its rows and columns into an array [channels, h, w]."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a part of an image needs around it, so that it is stained as in the whole.

    Attributes
    ----------
    unit
        A window of the image begins at a multiple of this many pixels.
    margin
        Pixels beyond the part that may have an influence on it.
    tile
        A window is this long, and a multiple of `unit` more; 0 where any multiple of `unit` will do.
    """

    unit: int
    margin: int
    tile: int = 0

    def window(self, start: int, stop: int, length: int) -> tuple[int, int]:
        """Give the window to stain for the pixels `start` to `stop` of an axis that is `length` long."""
        first = max(0, (start - self.margin) // self.unit * self.unit)
        needed = max(stop + self.margin - first, self.tile)
        last = first + self.tile + -(-(needed - self.tile) // self.unit) * self.unit
        return first, min(last, length)


def stain_with_halo(
    image: Float32Array, inside: tuple[slice, slice], part: int, reach: Reach, stain: StainInto, channels: int
) -> Float32Array:
    """Stain what is `inside` one `image` [planes, H, W] in parts of `part` x `part` pixels: [channels, h, w].

    Each part is given as much around it as `reach` says and `image` has. `inside` is rows and columns, each with a
    start and a stop.
    """
    height, width = image.shape[1:]
    rows, columns = inside
    stains = np.empty((channels, rows.stop - rows.start, columns.stop - columns.start), dtype=np.float32)
    for top in range(rows.start, rows.stop, part):
        bottom = min(top + part, rows.stop)
        first_row, last_row = reach.window(top, bottom, height)
        for left in range(columns.start, columns.stop, part):
            right = min(left + part, columns.stop)
            first, last = reach.window(left, right, width)
            wanted = slice(top - first_row, bottom - first_row), slice(left - first, right - first)
            into = stains[:, top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
            stain(image[:, first_row:last_row, first:last], wanted, into)
    return stains


def stain_in_tiles(image: Float32Array, tile: tuple[int, int], stain: Stain, channels: int, batch: int) -> Float32Array:
    """Stain one `image` [planes, H, W] tile by tile: float32 [channels, H, W].

    Tiles begin at multiples of half their side, counted from the first pixel, so a part of a larger image that begins
    at such a place is stained as it is in the whole, as far from its own borders as a tile is long. Beyond the right
    and lower border the image is reflected.

    Parameters
    ----------
    tile
        Height and width, each at most that of the image, in pixels.
    stain
        Takes tiles [N, planes, *tile] and gives their stains [N, channels, *tile].
    batch
        Tiles given to `stain` at once.
    """
    height, width = image.shape[1:]
    rows, columns = (_starts_and_weights(length, side) for length, side in zip((height, width), tile, strict=True))
    padded = [max(axis) + side for axis, side in zip((rows, columns), tile, strict=True)]
    whole = np.pad(image, ((0, 0), (0, padded[0] - height), (0, padded[1] - width)), mode="reflect")
    stains = np.zeros((channels, *padded), dtype=np.float32)
    places = [(top, left) for top in rows for left in columns]
    for some in _parts(places, batch):
        tiles = [whole[:, top : top + tile[0], left : left + tile[1]] for top, left in some]
        for (top, left), one in zip(some, stain(np.stack(tiles)), strict=True):
            weighted = one * np.multiply.outer(rows[top], columns[left])
            stains[:, top : top + tile[0], left : left + tile[1]] += weighted
    return stains[:, :height, :width]


def _starts_and_weights(length: int, tile: int) -> dict[int, Float32Array]:
    """Give where tiles begin along an axis, and the weight of each of their pixels: at every pixel they add up to 1."""
    step = max(1, tile // 2)
    starts = range(0, -(-(length - tile) // step) * step + 1, step)
    window = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2
    total = np.zeros(starts[-1] + tile)
    for start in starts:
        total[start : start + tile] += window
    return {start: (window / total[start : start + tile]).astype(np.float32) for start in starts}


def _parts(places: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]
