"""Fields of any size to stained OME-Zarr: block by block, so that memory is that of a few blocks.

A block of the result is what the same pixels of the whole stained field would be: it is read, magnified and stained
with as much around it as has an influence on it (`vsframework.inference.tiles.Reach`). A row of blocks is a piece of
work: it can be done by any worker, and when it is done it is not done again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr

from vsframework.atomic import FULL, full_disk, write_text
from vsframework.errors import VsfError
from vsframework.images import LazyField
from vsframework.images.ome_zarr_writing import create_ome_zarr
from vsframework.inference.resampling import axis_weights, resample
from vsframework.inference.stainer import Stainer
from vsframework.inference.tiles import Float32Array

BLOCK = 1024
"""Side of a block, which is a chunk of the result, in field pixels."""
FORMAT = 1
"""Raised when rows that an older version of this code left behind would not be right any more."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A brightfield field, and the magnification at which it is stained.

    Attributes
    ----------
    field
        Where the pixels come from.
    planes
        Which of its channels are the brightfield planes, in the order of training.
    scale
        Pixels of a training patch per pixel of the field.
    note
        What is recorded about that in the result.
    """

    field: LazyField
    planes: tuple[int, ...]
    scale: float
    note: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the field in pixels."""
        return self.field.shape[1], self.field.shape[2]

    @property
    def scaled_shape(self) -> tuple[int, int]:
        """Height and width at the magnification of the patches."""
        height, width = self.shape
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))

    @property
    def blocks(self) -> tuple[int, int]:
        """How many rows of blocks there are, and how many blocks in each."""
        height, width = self.shape
        return -(-height // BLOCK), -(-width // BLOCK)


def stain_block(stainer: Stainer, frame: Frame, rows: tuple[int, int], columns: tuple[int, int]) -> Float32Array:
    """Stain the pixels of `frame` in `rows` and `columns` (first, and last without): [C, h, w], counts."""
    back, into, inside = [], [], []
    for (first, last), length, scaled in zip((rows, columns), frame.shape, frame.scaled_shape, strict=True):
        returned = axis_weights(first, last, length, scaled)
        start, stop = stainer.reach.window(returned.start, returned.stop, scaled)
        back.append(returned)
        into.append(axis_weights(start, stop, scaled, length))
        inside.append(slice(returned.start - start, returned.stop - start))
    pixels = frame.field.read(into[0].start, into[0].stop, into[1].start, into[1].stop)[list(frame.planes)]
    stains = stainer.stain_inside(resample(pixels, into[0], into[1]), (inside[0], inside[1]))
    return resample(stains, back[0], back[1])


class StainedField:
    """The stained field that is being written: rows of blocks on disk, and which of them are done.

    Parameters
    ----------
    target
        Folder of the finished OME-Zarr.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = target.with_name(f".{target.name}-building")
        self.image = self.folder / "image"

    def begin(self, frame: Frame, stainer: Stainer, depends_on: Any) -> None:
        """Make the empty result, unless one of the same field, weights and scale is there already, to go on with."""
        shape = [*stainer.stains, *frame.shape]
        document = [FORMAT, BLOCK, shape, frame.planes, frame.scale, depends_on]
        key = hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
        mark = self.folder / "key"
        if mark.exists() and mark.read_text(encoding="utf-8") == key:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise VsfError(f"{self.target} cannot be written: {error.strerror or error}") from error
        create_ome_zarr(
            self.image,
            name=self.target.name,
            shape=(len(stainer.stains), *frame.shape),
            dtype="float32",
            channels=stainer.stains,
            pixel_size_um=frame.field.pixel_size_um,
            bit_depth=32,
            chunk=BLOCK,
            brightest=stainer.normalisation.stain_full_scale,
            note=frame.note,
        )
        write_text(mark, key)

    def missing(self, rows: int) -> list[int]:
        """List the rows of blocks that are not done yet."""
        return [row for row in range(rows) if not self._done(row).exists()]

    def stain_row(self, stainer: Stainer, frame: Frame, row: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Stain one row of blocks, and give the rows and columns of each when it is written."""
        array = zarr.open_array(self.image / "0", mode="r+")
        top, bottom = row * BLOCK, min((row + 1) * BLOCK, frame.shape[0])
        for left in range(0, frame.shape[1], BLOCK):
            right = min(left + BLOCK, frame.shape[1])
            stains = stain_block(stainer, frame, (top, bottom), (left, right))
            try:
                array[:, top:bottom, left:right] = stains
            except OSError as error:
                if error.errno in FULL:
                    raise full_disk(self.target) from error
                raise VsfError(f"{self.target} cannot be written: {error.strerror or error}") from error
            yield (top, bottom), (left, right)

    def finish_row(self, row: int, cells: Sequence[dict[str, Any]]) -> None:
        """Note that a row of blocks is done, and its cells."""
        write_text(self._done(row), json.dumps(cells))

    def cells(self, rows: int) -> Iterator[dict[str, Any]]:
        """Go through the cells of all rows."""
        for row in range(rows):
            yield from json.loads(self._done(row).read_text(encoding="utf-8"))

    def finish(self) -> None:
        """Put the result in its place, whole."""
        if self.target.exists():
            self.target.rename(self.folder / "older")
        self.image.rename(self.target)
        shutil.rmtree(self.folder)

    def _done(self, row: int) -> Path:
        return self.folder / "rows" / f"{row:06d}.json"
