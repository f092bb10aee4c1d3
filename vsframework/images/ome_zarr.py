"""OME-Zarr 0.4 and 0.5, opened without reading pixels: a region costs the chunks that it touches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from vsframework.errors import VsfError
from vsframework.images.checked_blosc import with_checked_blosc
from vsframework.images.description import MICROMETRES, square_pixel
from vsframework.readers import StoredPlanes

VERSIONS = ("0.4", "0.5")
AXES = "tczyx"
OWN_KEY = "vsframework"
"""Beside OME's attributes: what OME-Zarr has no word for, the significant bits, and that every chunk was written."""

MAX_CHUNK_SAMPLES = 2**26
"""Samples in one chunk: a chunk is decoded as a whole."""

SAFE_CODECS = frozenset({
    "bytes", "transpose", "blosc", "gzip", "zstd", "crc32c", "sharding_indexed",
    "zlib", "lz4", "bz2", "lzma", "shuffle", "delta", "adler32", "crc32",
})  # fmt: skip
"""What may decode a chunk; among numcodecs there is one that unpickles."""


def is_zarr(path: Path) -> bool:
    """Say whether the folder `path` is a Zarr group."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs"))


def open_ome_zarr(path: Path) -> StoredPlanes:
    """Open the full-resolution level of an OME-Zarr image.

    Raises
    ------
    VsfError
        When the folder is no OME-Zarr image of version 0.4 or 0.5, is damaged, or is a plate.
    """
    group, attributes = _group(path)
    if "plate" in attributes:
        raise VsfError(f"{path} is a plate of many fields: name one of them, like {path.name}/A/1/0")
    scales = attributes.get("multiscales")
    if not isinstance(scales, Sequence) or not scales or not isinstance(scales[0], Mapping):
        raise VsfError(f"{path} is a Zarr without OME's multiscales, so what its axes mean is not known: save OME-Zarr")
    scale = scales[0]
    axes = [str(axis.get("name") if isinstance(axis, Mapping) else axis) for axis in scale.get("axes", ())]
    if not all(len(axis) == 1 for axis in axes) or not _in_order("".join(axes)):
        raise VsfError(f"{path} has the axes {axes} where some of t, c, z, and y, x, in this order, are needed")
    array = _full_resolution(path, group, scale)
    if len(array.shape) != len(axes) or 0 in array.shape:
        raise VsfError(f"{path} has {len(axes)} axes and pixels of shape {array.shape}: it is damaged, save it anew")
    sizes = dict(zip(axes, array.shape, strict=True))
    chunks = dict(zip(axes, array.chunks, strict=True))
    own = _own(group)
    complete = own.get("complete") is True
    bits = own.get("significant_bits")

    def read(t: int, c: int, z: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
        place: dict[str, int | slice] = {"t": t, "c": c, "z": z, "y": rows, "x": columns}
        where = tuple(place[axis] for axis in axes)
        if complete:
            _refuse_missing(path, array, where)
        part = np.asarray(array[where])
        if not is_zarr(path):  # without its files, Zarr reads nothing but the fill value
            raise VsfError(f"{path} disappeared while it was read: put it back, then run the same command again")
        return part

    return StoredPlanes(
        shape=(sizes.get("t", 1), sizes.get("c", 1), sizes.get("z", 1), sizes["y"], sizes["x"]),
        dtype=array.dtype,
        read=read,
        channels=_names(attributes),
        pixel_size_um=_pixel_size(path, scale, axes),
        bit_depth=bits if isinstance(bits, int) and not isinstance(bits, bool) else None,
        chunk=(chunks["y"], chunks["x"]),
    )


def is_plate(path: Path) -> bool:
    """Say whether the OME-Zarr `path` is a plate."""
    return "plate" in _group(path)[1]


def plate_fields(path: Path) -> dict[str, list[Path]]:
    """Find the fields of an OME-Zarr plate: by well (``A/1``), its fields' folders in order.

    Raises
    ------
    VsfError
        When `path` is no plate.
    """
    _, attributes = _group(path)
    plate = attributes.get("plate")
    wells = plate.get("wells") if isinstance(plate, Mapping) else None
    if not isinstance(wells, Sequence):
        raise VsfError(f"{path} is no OME-Zarr plate: it has no list of wells")
    found = {}
    for entry in wells:
        well = _inside(path, entry.get("path") if isinstance(entry, Mapping) else None)
        _, inner = _group(path / well)
        images = inner.get("well", {}).get("images", ()) if isinstance(inner.get("well"), Mapping) else ()
        found[well] = [
            path / well / _inside(path / well, image.get("path") if isinstance(image, Mapping) else None)
            for image in images
        ]
    return found


def missing_chunks(path: Path) -> int:
    """Count the chunks of the full-resolution level that are not on disk: blank by Zarr's rules, or lost."""
    group, attributes = _group(path)
    array = _full_resolution(path, group, attributes["multiscales"][0])
    return int(array.nchunks - array.nchunks_initialized)


def _group(path: Path) -> tuple[Any, dict[str, Any]]:
    """Open the group at `path`; give it and its OME attributes."""
    if not is_zarr(path):
        raise VsfError(f"{path} is a folder without Zarr metadata: name an image file, or an OME-Zarr folder")
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    attributes = group.attrs.asdict()
    nested = attributes.get("ome")
    attributes = nested if isinstance(nested, dict) else attributes
    version = _version(attributes)
    if version is not None and version not in VERSIONS:
        raise VsfError(f"{path} is OME-Zarr {version}, and {' and '.join(VERSIONS)} can be read: convert it")
    return group, attributes


def _version(attributes: Mapping[str, Any]) -> str | None:
    if "version" in attributes:
        return str(attributes["version"])
    inner = attributes.get("multiscales") or attributes.get("plate") or attributes.get("well")
    first = inner[0] if isinstance(inner, list) and inner else inner
    return str(first["version"]) if isinstance(first, Mapping) and "version" in first else None


def _own(group: Any) -> Mapping[str, Any]:
    own = group.attrs.asdict().get(OWN_KEY)
    return own if isinstance(own, Mapping) else {}


def _in_order(axes: str) -> bool:
    places = [AXES.find(axis) for axis in axes]
    return axes.endswith("yx") and -1 not in places and places == sorted(set(places))


def _inside(path: Path, name: object) -> str:
    """Give the name of something in `path`; metadata must not lead out of its folder."""
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not parts or ".." in parts or parts[0] == "/" or "\0" in str(name):
        raise VsfError(f"{path} names {name!r} as a part of itself, which is no folder in it: it is damaged")
    return str(name)


def _full_resolution(path: Path, group: Any, scale: Mapping[str, Any]) -> Any:
    levels = scale.get("datasets")
    first = levels[0] if isinstance(levels, Sequence) and levels else None
    array = group.get(_inside(path, first.get("path") if isinstance(first, Mapping) else None))
    if not isinstance(array, zarr.Array):
        raise VsfError(f"{path} lacks the pixels that its metadata describes: copy it again")
    unsafe = sorted(set(_codecs(array.metadata.to_dict())) - SAFE_CODECS)
    if unsafe:
        raise VsfError(f"{path} is compressed with {', '.join(unsafe)}: save it with blosc, zstd or gzip")
    if math.prod(array.shards or array.chunks) > MAX_CHUNK_SAMPLES and math.prod(array.chunks) > MAX_CHUNK_SAMPLES:
        raise VsfError(f"{path} has chunks of {array.chunks} samples, too large to decode: save it in smaller ones")
    return with_checked_blosc(array)


def _codecs(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Name everything that decodes a chunk, shards' inner codecs too."""
    used = [metadata.get("compressor"), *(metadata.get("filters") or ()), *(metadata.get("codecs") or ())]
    for codec in used:
        if codec is None:
            continue
        entry = codec if isinstance(codec, Mapping) else getattr(codec, "get_config", codec.to_dict)()
        yield str(entry.get("id", entry.get("name")))
        inner = entry.get("configuration")
        if isinstance(inner, Mapping):
            yield from _codecs({"codecs": [*inner.get("codecs", ()), *inner.get("index_codecs", ())]})


def _names(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    omero = attributes.get("omero")
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(channels, Sequence) or isinstance(channels, str):
        return ()
    return tuple(str(channel.get("label", "")) if isinstance(channel, Mapping) else "" for channel in channels)


def _pixel_size(path: Path, scale: Mapping[str, Any], axes: Sequence[str]) -> float | None:
    described = scale["axes"]
    factors = np.ones(len(axes))
    for holder in (scale, scale["datasets"][0]):
        for step in holder.get("coordinateTransformations") or ():
            if isinstance(step, Mapping) and step.get("type") == "scale":
                values = step.get("scale")
                if not isinstance(values, Sequence) or len(values) != len(axes):
                    raise VsfError(f"{path} has a scale that does not fit its axes: correct its metadata")
                factors = factors * np.asarray(values, dtype=np.float64)
    sides = []
    for axis in "yx":
        index = axes.index(axis)
        unit = described[index].get("unit") if isinstance(described[index], Mapping) else None
        if unit is None:  # 1 by 1 of nothing: not calibrated
            return None
        if unit not in MICROMETRES:
            raise VsfError(f"{path} gives its pixel size in {unit!r}: write it in micrometer")
        sides.append(float(factors[index]) * MICROMETRES[unit])
    return square_pixel(path, sides[1], sides[0])


def _refuse_missing(path: Path, array: Any, where: tuple[int | slice, ...]) -> None:
    """In a folder that was written whole, a chunk without its file is lost, not blank."""
    steps = array.shards or array.chunks
    ranges = []
    for place, step in zip(where, steps, strict=True):
        first, last = (place, place) if isinstance(place, int) else (place.start, place.stop - 1)
        ranges.append(range(first // step, last // step + 1))
    folder = path / array.path
    for index in np.ndindex(*(len(indices) for indices in ranges)):
        key = tuple(indices[at] for indices, at in zip(ranges, index, strict=True))
        if not (folder / array.metadata.encode_chunk_key(key)).is_file():
            raise VsfError(f"{path} lacks the chunk {'.'.join(map(str, key))}: copy it again from where it was written")
