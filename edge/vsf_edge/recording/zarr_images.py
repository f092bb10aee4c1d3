"""OME-Zarr 0.5 that grows, and is a valid image of everything written so far at every moment.

``zarr`` encodes each chunk in memory; the chunk is then moved to its place whole. The length of the first axis, in
``zarr.json``, follows: it never names a chunk that is not there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

from vsf_edge.display import colours
from vsf_edge.frames import FrameResult
from vsf_edge.manifest import Manifest
from vsf_edge.recording.placing import counts, place

CHUNK_BYTES = 1 << 21


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Of one growing image.

    Attributes
    ----------
    axes
        Of the whole, as OME-Zarr has them; the first one grows.
    channels
        Names and largest counts, where an axis is of channels.
    pixel_size_um
        None where it is not known.
    block
        Items of the first axis in one chunk.
    """

    axes: Sequence[Mapping[str, str]]
    channels: Sequence[tuple[str, float]] = ()
    pixel_size_um: float | None = None
    block: int = 1


class GrowingZarr:
    """One OME-Zarr image at `path`, of items like `first` along its first axis."""

    def __init__(self, path: Path, layout: Layout, first: npt.NDArray[np.generic]) -> None:
        self._path = path / "0"
        self._layout = layout
        self._block = np.zeros((layout.block, *first.shape), first.dtype)
        self._memory: dict[str, Any] = {}
        self._encoder = zarr.create_array(
            MemoryStore(self._memory),
            shape=self._block.shape,
            chunks=self._block.shape,
            dtype=first.dtype,
            # a third smaller than the counts as they are at 2 ms per megapixel; zstd takes ten times as long
            compressors=BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle", typesize=first.dtype.itemsize),
            fill_value=math.nan if first.dtype.kind == "f" else 0,
            dimension_names=[axis["name"] for axis in layout.axes],
            config={"write_empty_chunks": True},
        )
        self._document = json.loads(self._memory["zarr.json"].to_bytes())
        self.count = 0
        self._told = -1
        self._unwritten = False
        path.mkdir(parents=True, exist_ok=True)
        self._tell()
        place(path / "zarr.json", json.dumps(_group(layout, first.ndim), indent=1).encode("utf-8"))

    def append(self, item: npt.NDArray[np.generic]) -> int:
        """Add one; gives its index. It reaches the disk with its chunk, or with `flush`.

        Raises
        ------
        OSError
            When the chunk before it cannot be written; it is not there then.
        """
        place = self.count % len(self._block)
        if place == 0:
            self._write()
        self._block[place] = item
        self._unwritten = True
        self.count += 1
        return self.count - 1

    def put(self, item: npt.NDArray[np.generic]) -> int:
        """Write one now, for blocks of 1; after an error (`OSError`) it is not there."""
        index = self.append(item)
        try:
            self._write()
        except OSError:
            self.take_back()
            raise
        return index

    def take_back(self) -> None:
        """Forget the last one, for blocks of 1."""
        self.count -= 1
        self._unwritten = False

    def skip(self, count: int) -> None:
        """Leave gaps (not a number, or 0 in whole counts) up to `count`; for blocks of 1."""
        self.count = max(self.count, count)

    def flush(self) -> None:
        """Write what waits, and then how many there are."""
        self._write()
        self._tell()

    def _write(self) -> None:
        if not self._unwritten:
            return
        index = self.count - 1
        self._encoder[...] = self._block
        chunk = next(value for key, value in self._memory.items() if key.startswith("c/"))
        inner = ["0"] * (self._block.ndim - 1)
        place(self._path.joinpath("c", str(index // len(self._block)), *inner), chunk.to_bytes())
        self._unwritten = False

    def _tell(self) -> None:
        if self._told != self.count:
            self._document["shape"][0] = self.count
            place(self._path / "zarr.json", json.dumps(self._document, indent=1).encode("utf-8"))
            self._told = self.count


class ZarrImages:
    """The fields and the cells of a recording, as OME-Zarr below `folder`.

    A field of another size or type than the one before starts a new set (``fields-2``), and so do cells.
    """

    def __init__(self, folder: Path, manifest: Manifest, dtype: str) -> None:
        self._folder = folder
        self._manifest = manifest
        self._dtype = np.dtype(dtype)
        self._fields: dict[str, GrowingZarr] = {}
        self._cells: dict[str, GrowingZarr] = {}
        self._kinds: dict[str, object] = {}
        self._sets = {"fields": 0, "cells": 0}

    def add_field(self, result: FrameResult) -> tuple[str, int]:
        """Add brightfield [H, W] and, where there are, stains [S, H, W]; gives the name of the set and the index."""
        frame = result.frame
        kind = (frame.pixels.shape, frame.pixels.dtype, frame.pixel_size_um)
        where = self._set("fields", kind, self._fields)
        time = {"name": "t", "type": "time"}
        if "brightfield" not in self._fields:
            layout = Layout(axes=[time, *_space(frame.pixel_size_um)], pixel_size_um=frame.pixel_size_um)
            path = self._folder / where / "brightfield.ome.zarr"
            self._fields["brightfield"] = GrowingZarr(path, layout, frame.pixels)
        brightfield = self._fields["brightfield"]
        if result.stains is not None:
            stains = counts(result.stains, self._dtype)
            if "stains" not in self._fields:
                layout = Layout(
                    axes=[time, {"name": "c", "type": "channel"}, *_space(frame.pixel_size_um)],
                    channels=[(stain.name, stain.full_scale) for stain in self._manifest.stains],
                    pixel_size_um=frame.pixel_size_um,
                )
                self._fields["stains"] = GrowingZarr(self._folder / where / "stains.ome.zarr", layout, stains)
            self._fields["stains"].skip(brightfield.count)
            self._fields["stains"].put(stains)
        try:
            index = brightfield.put(frame.pixels)
        except OSError:
            if result.stains is not None:
                self._fields["stains"].take_back()  # both or neither
            raise
        if "stains" in self._fields:
            self._fields["stains"].skip(brightfield.count)
        return where, index

    def add_cells(self, result: FrameResult) -> list[tuple[str, int]]:
        """Add the patches of the cells; gives the name of the set and the index of each."""
        return [self._add_cell(cell.brightfield, cell.stains) for cell in result.cells]

    def _add_cell(self, brightfield: npt.NDArray[np.generic], stains: npt.NDArray[np.float32]) -> tuple[str, int]:
        where = self._set("cells", (brightfield.shape, brightfield.dtype), self._cells)
        planes = {"brightfield": brightfield}
        names = [stain.name for stain in self._manifest.stains]
        planes |= dict(zip(names, counts(stains, self._dtype), strict=True))
        index = 0
        for name, plane in planes.items():
            if name not in self._cells:
                layout = Layout(axes=[{"name": "cell"}, *_space(None)], block=max(1, CHUNK_BYTES // plane.nbytes))
                self._cells[name] = GrowingZarr(self._folder / where / f"{name}.ome.zarr", layout, plane)
            index = self._cells[name].append(plane)
        return where, index

    def flush(self) -> None:
        """Write what waits."""
        for image in [*self._fields.values(), *self._cells.values()]:
            image.flush()

    def _set(self, name: str, kind: object, images: dict[str, GrowingZarr]) -> str:
        if self._kinds.get(name) != kind:
            for image in images.values():
                image.flush()
            images.clear()
            self._kinds[name] = kind
            self._sets[name] += 1
        number = self._sets[name]
        return name if number == 1 else f"{name}-{number}"


def _space(pixel_size_um: float | None) -> list[dict[str, str]]:
    unit = {} if pixel_size_um is None else {"unit": "micrometer"}
    return [{"name": name, "type": "space", **unit} for name in ("y", "x")]


def _group(layout: Layout, inner: int) -> dict[str, Any]:
    side = layout.pixel_size_um or 1.0
    scale = [1.0] * (1 + inner - 2) + [side, side]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    ome: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"axes": [dict(axis) for axis in layout.axes], "datasets": [dataset]}],
    }
    if layout.channels:
        names = [name for name, _ in layout.channels]
        ome["omero"] = {
            "channels": [
                {
                    "label": name,
                    "color": "{:02X}{:02X}{:02X}".format(*colour),
                    "active": True,
                    "window": {"min": 0.0, "max": largest, "start": 0.0, "end": largest},
                }
                for (name, largest), colour in zip(layout.channels, colours(names), strict=True)
            ]
        }
    return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
