"""Cuts a whole field into overlapping tiles of the size of a training patch, and blends their stains seamlessly.

A generator has only ever seen patches of one size, cut at one scale: a tile is `field_px` pixels of the field, resized
to the patch, as a cell is. Tiles overlap by two halos; across an overlap the weight goes from one tile to the next, so
that there is no seam. The weights add up to 1 everywhere and are made once per size, so that a frame costs one
multiply-and-add per pixel and no division.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.errors import EdgeError
from vsf_edge.frames import Pixels
from vsf_edge.interfaces import Array

HALO_SHARE = 0.125
"""Half of what two tiles share, in parts of a tile's side."""


class Tiling:
    """The tiles of one size of field.

    Parameters
    ----------
    height, width
        Of the field in pixels; each at least 2. A field smaller than a tile is reflected to its size.
    side
        Of a tile in pixels of the field.
    size
        Of the model's patch in pixels: what a tile is resized to.
    """

    def __init__(self, height: int, width: int, side: int, size: int) -> None:
        if min(height, width) < 2:
            raise EdgeError(f"a field of {width}x{height} pixels is too small to be stained")
        self.shape = (height, width)
        self.side, self.size = side, size
        halo = max(1, round(HALO_SHARE * side))
        self._padded = (max(height, side), max(width, side))
        rows, columns = (_starts(length, side, halo) for length in self._padded)
        self._places = [(top, left) for top in rows for left in columns]
        down, across = (_weights(length, side, halo) for length in self._padded)
        self._weights = {
            (top, left): np.outer(down[index], across[place]).astype(np.float32)
            for index, top in enumerate(rows)
            for place, left in enumerate(columns)
        }

    def __len__(self) -> int:
        return len(self._places)

    def cut(self, field: Pixels | Array, out: npt.NDArray[Any]) -> None:
        """Cut `field` [H, W] into `out` [len(self), 1, size, size] of its own dtype."""
        missing = [padded - length for padded, length in zip(self._padded, self.shape, strict=True)]
        whole: npt.NDArray[Any] = (
            np.pad(field, [(0, part) for part in missing], mode="reflect") if any(missing) else field
        )
        method = cv2.INTER_AREA if self.side > self.size else cv2.INTER_LINEAR
        for tile, (top, left) in zip(out[:, 0], self._places, strict=True):
            part = whole[top : top + self.side, left : left + self.side]
            if self.side == self.size:
                tile[:] = part
            else:
                cv2.resize(part, (self.size, self.size), dst=tile, interpolation=method)

    def blend(self, parts: Iterator[Array]) -> Array:
        """Blend stains [N, S, size, size] that come in parts, in the order of the tiles: float32 [S, H, W]."""
        sums: Array | None = None
        places = iter(self._places)
        for part in parts:
            if sums is None:
                sums = np.zeros((part.shape[1], *self._padded), np.float32)
            for tile, (top, left) in zip(part, places, strict=False):
                weights = self._weights[top, left]
                for total, stain in zip(sums, tile, strict=True):
                    if self.side != self.size:
                        # a network that was taught patches enlarged from a field's pixels gives no finer detail than
                        # those: reading it at their centres loses nothing, and takes an eighth of averaging areas
                        stain = cv2.resize(stain, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
                    cv2.accumulateProduct(stain, weights, total[top : top + self.side, left : left + self.side])
        assert sums is not None
        return sums[:, : self.shape[0], : self.shape[1]]


def _starts(length: int, side: int, halo: int) -> list[int]:
    """Give where tiles of `side` begin that cover `length`, overlapping by at least two halos, evenly spread."""
    step = max(1, side - 2 * halo)
    count = 1 + max(0, -(-(length - side) // step))
    return [round(index * (length - side) / max(count - 1, 1)) for index in range(count)]


def _weights(length: int, side: int, halo: int) -> list[npt.NDArray[np.float64]]:
    """Give the weights of each tile along one axis: ramps within the overlap, adding up to 1 at every pixel."""
    starts = _starts(length, side, halo)
    ramp = np.minimum((np.arange(side) + 0.5) / (2 * halo), 1)
    raised = []
    for index in range(len(starts)):
        weights = np.ones(side)
        if index > 0:
            weights *= ramp
        if index < len(starts) - 1:
            weights *= ramp[::-1]
        raised.append(weights)
    total = np.zeros(length)
    for start, weights in zip(starts, raised, strict=True):
        total[start : start + side] += weights
    return [weights / total[start : start + side] for start, weights in zip(starts, raised, strict=True)]
