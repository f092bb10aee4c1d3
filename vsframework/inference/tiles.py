"""Images larger than a training patch: overlapping tiles of the size of one, blended.

A generator has only ever seen patches of one size. A tile of that size, weighed by how far from its border a pixel is,
gives every pixel stains from tiles in which it lies inside; where two tiles meet there is no seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


def stain_in_tiles(
    image: Float32Array, tile: tuple[int, int], stain: Callable[[Float32Array], Float32Array], channels: int, batch: int
) -> Float32Array:
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
    steps = [max(1, side // 2) for side in tile]
    padded = [
        side + -(-(length - side) // step) * step
        for length, side, step in zip((height, width), tile, steps, strict=True)
    ]
    whole = np.pad(image, ((0, 0), (0, padded[0] - height), (0, padded[1] - width)), mode="reflect")
    window = np.multiply.outer(_hann(tile[0]), _hann(tile[1])).astype(np.float32)
    sums = np.zeros((channels, *padded), dtype=np.float32)
    weights = np.zeros(padded, dtype=np.float32)
    places = [
        (slice(top, top + tile[0]), slice(left, left + tile[1]))
        for top in range(0, padded[0] - tile[0] + 1, steps[0])
        for left in range(0, padded[1] - tile[1] + 1, steps[1])
    ]
    for some in _parts(places, batch):
        stained = stain(np.stack([whole[:, rows, columns] for rows, columns in some]))
        for (rows, columns), one in zip(some, stained, strict=True):
            sums[:, rows, columns] += one * window
            weights[rows, columns] += window
    stains: Float32Array = np.divide(sums, weights, dtype=np.float32)[:, :height, :width]
    return stains


def _hann(length: int) -> npt.NDArray[np.float64]:
    """Give weights above 0 that add up to 1 with those of the next tile, half a side on."""
    weights: npt.NDArray[np.float64] = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    return weights


def _parts(places: list[tuple[slice, slice]], size: int) -> Iterator[list[tuple[slice, slice]]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]
