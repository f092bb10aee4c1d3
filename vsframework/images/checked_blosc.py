"""Blosc chunks are held against their header first: the decoder believes the lengths in there, and ends the process.

C-Blosc is not told how long a chunk is, so a damaged length makes it read beyond the end. The codecs of an opened array
are replaced by these, in this array only.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import Any

import numcodecs.blosc
import zarr
from zarr.codecs import BloscCodec, ShardingCodec

HEADER = struct.Struct("<BBBBIII")
MEMCPYED = 0x2


def check_blosc(frame: memoryview, expected: int | None) -> None:
    """Hold a Blosc frame against its length and the number of bytes that it should give.

    Raises
    ------
    ValueError
        When they do not fit together.
    """
    if len(frame) < HEADER.size:
        raise ValueError("a Blosc chunk is cut")
    _, _, flags, typesize, size, blocksize, length = HEADER.unpack_from(frame)
    whole = length == len(frame) and typesize > 0 and 0 < blocksize <= max(size, 1)
    if not whole or size == 0 or (expected is not None and size != expected):
        raise ValueError("a Blosc chunk has another length than it says")
    if flags & MEMCPYED:
        if length != size + HEADER.size:
            raise ValueError("a Blosc chunk has another length than it says")
        return
    blocks = -(-size // blocksize)
    first = HEADER.size + 4 * blocks
    if first > length:
        raise ValueError("a Blosc chunk lacks its blocks")
    starts = struct.unpack_from(f"<{blocks}i", frame, HEADER.size)
    if min(starts) < first or max(starts) > length - 4:
        raise ValueError("a block of a Blosc chunk lies outside it")


class CheckedBlosc2(numcodecs.blosc.Blosc):  # type: ignore[misc]
    """Of Zarr v2; `expected` is the number of bytes of a whole chunk, None where a filter changes it."""

    expected: int | None = None

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode a chunk that fits its header."""
        check_blosc(memoryview(buf).cast("B"), self.expected)
        return super().decode(buf, out)


class CheckedBlosc3(BloscCodec):
    """Of Zarr v3."""

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        expected = math.prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        check_blosc(memoryview(chunk_bytes.as_numpy_array()).cast("B"), expected)
        return await super()._decode_single(chunk_bytes, chunk_spec)


def with_checked_blosc(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Give `array` with every Blosc codec replaced by one that checks first."""
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        if not isinstance(metadata.compressor, numcodecs.blosc.Blosc):
            return array
        config = metadata.compressor.get_config()
        codec = CheckedBlosc2(**{key: value for key, value in config.items() if key != "id"})
        codec.expected = None if metadata.filters else math.prod(array.chunks) * array.dtype.itemsize
        changed = dataclasses.replace(metadata, compressor=codec)
    else:
        changed = dataclasses.replace(metadata, codecs=tuple(_checked(codec) for codec in metadata.codecs))
    return zarr.Array(zarr.AsyncArray(metadata=changed, store_path=array.store_path))


def _checked(codec: Any) -> Any:
    if isinstance(codec, ShardingCodec):
        return dataclasses.replace(codec, codecs=tuple(_checked(inner) for inner in codec.codecs))
    if isinstance(codec, BloscCodec):
        return CheckedBlosc3(
            typesize=codec.typesize,
            cname=codec.cname,
            clevel=codec.clevel,
            shuffle=codec.shuffle,
            blocksize=codec.blocksize,
        )
    return codec
