"""Cuts a whole field into overlapping tiles of the size of a training patch, and blends their stains seamlessly.

A generator has only ever seen patches of one size, cut at one scale: a tile is `field_px` pixels of the field, resized
to the patch, as a cell is. Tiles overlap by two halos; across an overlap the weight goes from one tile to the next, so
that there is no seam. The weights add up to 1 everywhere and are made once per size, so that a frame costs one
multiply-and-add per pixel of a tile and no division. Cutting and shrinking a tile depend on no other tile: who stains
several at once does that beside its network, and only the sum is made in one place, always in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.errors import EdgeError
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
        # most tiles have the same weights: one array of each stays in the processor's cache
        same: dict[bytes, Array] = {}
        self._weights = [
            same.setdefault(one.tobytes() + other.tobytes(), np.outer(one, other).astype(np.float32))
            for one in down
            for other in across
        ]

    def __len__(self) -> int:
        return len(self._places)

    @property
    def part(self) -> tuple[int, int]:
        """Height and width of every tile, in pixels of the network."""
        return self.size, self.size

    def padded(self, field: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Give `field` [H, W] reflected to the size of a tile where it is smaller: what `cut` cuts."""
        missing = [padded - length for padded, length in zip(self._padded, self.shape, strict=True)]
        return np.pad(field, [(0, part) for part in missing], mode="reflect") if any(missing) else field

    def cut(self, padded: npt.NDArray[Any], out: npt.NDArray[Any], first: int = 0) -> None:
        """Cut the tiles from number `first` on into `out` [N, 1, size, size], of the dtype of `padded`."""
        method = cv2.INTER_AREA if self.side > self.size else cv2.INTER_LINEAR
        for index, tile in enumerate(out[:, 0], first):
            top, left = self._places[index]
            part = padded[top : top + self.side, left : left + self.side]
            if self.side == self.size:
                tile[:] = part
            else:
                cv2.resize(part, (self.size, self.size), dst=tile, interpolation=method)

    def shrunk(self, stains: Array, index: int) -> Array:
        """Give the stains of tile `index` [S, size, size] as large as it is in the field: [S, side, side]."""
        if self.side == self.size:
            return stains
        # a network that was taught patches enlarged from a field's pixels gives no finer detail than those: reading it
        # at their centres loses nothing, and takes an eighth of averaging areas
        fitted = np.empty((len(stains), self.side, self.side), np.float32)
        for stain, small in zip(stains, fitted, strict=True):
            cv2.resize(stain, (self.side, self.side), dst=small, interpolation=cv2.INTER_LINEAR)
        return fitted

    def blend(self, shrunk: Iterable[Array]) -> Array:
        """Blend what `shrunk` gave for every tile, in their order: float32 [S, H, W]."""
        sums: Array | None = None
        for stains, (top, left), weights in zip(shrunk, self._places, self._weights, strict=True):
            if sums is None:
                sums = np.zeros((len(stains), *self._padded), np.float32)
            for total, stain in zip(sums, stains, strict=True):
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
