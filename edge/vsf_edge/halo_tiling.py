"""Cuts a field into large parts that share no more than a network sees, so that each is stained as in the whole field.

For a network that sees only so far (its halo, which the bundle states) and takes images of any size. A part is as many
field pixels as make whole strides of the network, and begins at such a place: the network does with it what it would do
with the whole field. Nothing has to be blended, and far less is stained twice than with tiles as large as a patch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.errors import EdgeError
from vsf_edge.interfaces import Array
from vsf_edge.manifest import Manifest
from vsf_edge.tiling import Tiling

MOST_SIDE = 2048
"""Of a part, in pixels of the network: larger ones save little, and take memory, and longer than stopping may take."""

BORDER = 2
"""Pixels of the network at the border of a part that are not as in the whole field: interpolation reads beyond them."""

MOST_PARTS = 12
"""Along one side; a field that needs more takes tiles, or waits for a graph made for larger images."""


class TooManyPartsError(EdgeError):
    """Parts would be hardly more than their halo, or too many."""


@dataclass(frozen=True)
class _Side:
    """How one side of a field is cut: all parts are equally long, and of each that is kept which no neighbour keeps."""

    padded: int
    starts: tuple[int, ...]
    length: int
    kept: tuple[tuple[int, int], ...]
    unit: int
    network_unit: int

    def window(self, index: int) -> _Window:
        """Give the least of part `index` that must be shrunk: pixels of the field and the network meet at its ends."""
        first, last = (end - self.starts[index] for end in self.kept[index])
        around = 0 if self.network_unit >= self.unit else 1  # what is enlarged is interpolated beyond its ends
        begin = max(0, first // self.unit - around)
        end = min(self.length // self.unit, -(-last // self.unit) + around)
        return _Window(
            network=slice(begin * self.network_unit, end * self.network_unit),
            length=(end - begin) * self.unit,
            kept=slice(first - begin * self.unit, last - begin * self.unit),
        )


@dataclass(frozen=True)
class _Window:
    """A piece of a part along one side: where it is for the network, its field pixels, and what to keep of it."""

    network: slice
    length: int
    kept: slice


class HaloTiling:
    """The parts of one size of field; used as :class:`vsf_edge.tiling.Tiling` is.

    Parameters
    ----------
    height, width
        Of the field in pixels; each at least 2.
    side, size
        What is `side` pixels wide in the field is `size` pixels wide for the network.
    stride
        The network takes multiples of this, in its pixels.
    halo
        How far the network sees, in its pixels.
    most
        Largest side of an image that the network takes, in its pixels.
    workers
        How many parts are stained at once: there should be work for all.

    Raises
    ------
    TooManyPartsError
        When parts of `most` pixels are hardly more than their halo.
    EdgeError
        When the field is too small.
    """

    def __init__(
        self, height: int, width: int, side: int, size: int, *, stride: int, halo: int, most: int, workers: int = 1
    ) -> None:
        if min(height, width) < 2:
            raise EdgeError(f"a field of {width}x{height} pixels is too small to be stained")
        self.shape = (height, width)
        common = math.gcd(side, size)
        field_unit, unit = side // common, size // common
        repeats = stride // math.gcd(unit, stride)
        field_unit, unit = field_unit * repeats, unit * repeats
        need = math.ceil((2 * halo + 2 * BORDER) / unit)
        ways = {
            (down, across): (rows, columns)
            for down, rows in _ways(height, field_unit, unit, need, most // unit).items()
            for across, columns in _ways(width, field_unit, unit, need, most // unit).items()
        }
        if not ways:
            raise TooManyPartsError(
                f"the model takes {most} pixels at most, too few for a field of {width}x{height} pixels"
            )
        self._rows, self._columns = min(ways.values(), key=lambda way: _cost(way[0], way[1], workers))
        self._magnified = tuple(part.length // field_unit * unit for part in (self._rows, self._columns))
        self._places = list(itertools.product(range(len(self._rows.starts)), range(len(self._columns.starts))))

    def __len__(self) -> int:
        return len(self._places)

    @property
    def part(self) -> tuple[int, int]:
        """Height and width of every part, in pixels of the network."""
        return self._magnified[0], self._magnified[1]

    def padded(self, field: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Give `field` [H, W] reflected at its right and lower border to whole strides: what `cut` cuts."""
        missing = [
            (0, side.padded - length) for side, length in zip((self._rows, self._columns), self.shape, strict=True)
        ]
        return np.pad(field, missing, mode="reflect") if any(after for _, after in missing) else field

    def cut(self, padded: npt.NDArray[Any], out: npt.NDArray[Any], first: int = 0) -> None:
        """Cut the parts from number `first` on into `out` [N, 1, *part], of the dtype of `padded`."""
        height, width = self.part
        for index, image in enumerate(out[:, 0], first):
            row, column = self._places[index]
            top, left = self._rows.starts[row], self._columns.starts[column]
            part = padded[top : top + self._rows.length, left : left + self._columns.length]
            if part.shape == image.shape:
                image[:] = part
            else:
                method = cv2.INTER_AREA if self._rows.length > height else cv2.INTER_LINEAR
                cv2.resize(part, (width, height), dst=image, interpolation=method)

    def shrunk(self, stains: Array, index: int) -> Array:
        """Give of the stains [S, *part] of part `index` what is kept, as large as it is in the field."""
        row, column = self._places[index]
        down, across = self._rows.window(row), self._columns.window(column)
        part = stains[:, down.network, across.network]
        shape = (len(stains), down.length, across.length)
        if part.shape != shape:
            fitted = np.empty(shape, np.float32)
            for stain, small in zip(part, fitted, strict=True):
                cv2.resize(stain, small.shape[::-1], dst=small, interpolation=cv2.INTER_LINEAR)
            part = fitted
        return part[:, down.kept, across.kept]

    def blend(self, shrunk: Iterable[Array]) -> Array:
        """Put together what `shrunk` gave for every part, in their order: float32 [S, H, W]."""
        whole: Array | None = None
        for stains, (row, column) in zip(shrunk, self._places, strict=True):
            if whole is None:
                whole = np.empty((len(stains), *self.shape), np.float32)
            whole[:, slice(*self._rows.kept[row]), slice(*self._columns.kept[column])] = stains
        assert whole is not None
        return whole


def field_tiling(manifest: Manifest, height: int, width: int, field_px: int, workers: int = 1) -> Tiling | HaloTiling:
    """Give how a field of `height` x `width` pixels is best cut for the model of `manifest`.

    Large parts where the network takes any size and sees only so far, else blended tiles of the size of a patch.

    Parameters
    ----------
    field_px
        What a training patch shows, in pixels of this field.
    workers
        How many parts are stained at once.

    Raises
    ------
    EdgeError
        When the field is too small, or the model takes no square patches.
    """
    size = manifest.patch_size
    if size is None:
        raise EdgeError("the model takes no square patches")
    if manifest.height is None and manifest.halo_px is not None:
        most = min(MOST_SIDE, manifest.max_height or MOST_SIDE, manifest.max_width or MOST_SIDE)
        try:
            return HaloTiling(
                height, width, field_px, size,
                stride=manifest.stride, halo=manifest.halo_px, most=most, workers=workers,
            )  # fmt: skip
        except TooManyPartsError:
            pass
    return Tiling(height, width, field_px, size)


def _ways(length: int, unit: int, network_unit: int, need: int, most: int) -> dict[int, _Side]:
    """Give how a side of `length` pixels can be cut, by number of parts: at least `need` units shared, `most` long.

    A unit is `unit` pixels of the field and `network_unit` of the network: whole pixels and whole strides.
    """
    units = -(-length // unit)
    found = {}
    for count in range(1, MOST_PARTS + 1):
        long = -(-(units + (count - 1) * need) // count)
        if long > most or (count > 1 and (long <= need or long >= units)):
            continue
        starts = tuple(unit * (index * (units - long) // max(1, count - 1)) for index in range(count))
        middles = [(start + long * unit + after) // 2 for start, after in itertools.pairwise(starts)]
        kept = tuple(itertools.pairwise([0, *middles, length]))
        if all(first < last for first, last in kept):
            found[count] = _Side(units * unit, starts, long * unit, kept, unit, network_unit)
    return found


def _cost(rows: _Side, columns: _Side, workers: int) -> tuple[int, int]:
    """Give what a core stains at most, in pixels of the field, and how many parts that takes."""
    count = len(rows.starts) * len(columns.starts)
    return -(-count // workers) * rows.length * columns.length, count
