"""TIFF: its structure is checked first, since readers fill missing strips and pages with zeros."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from vsframework.errors import VsfError
from vsframework.images.description import Description, describe_imagej, describe_ome
from vsframework.images.directories import check_directories, truncated
from vsframework.images.image import DTYPES, MAX_CHANNELS
from vsframework.images.stored import Stored, channels_of, refuse_oversize

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_CHANNEL_AXES = "CIQ"  # OME's and ImageJ's channels; pages of a file that does not say what they are
_COMPRESSIONS = {
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.LZW,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.DEFLATE,
    tifffile.COMPRESSION.ZSTD,
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.PACKBITS,
}
# libtiff decodes these: the LZW decoder that tifffile calls (imagecodecs 2026.3.6) follows a damaged code after a clear
# code as an address and ends the process
_LIBTIFF = {tifffile.COMPRESSION.LZW, tifffile.COMPRESSION.PACKBITS}
_AXIS_WORDS = {"Z": "z planes", "T": "time points"}
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def read_tiff(path: Path, z_stack: bool = False) -> Stored:
    """Read the largest image of a TIFF: OME, ImageJ, Micro-Manager, or plain, with one page per channel.

    With `z_stack`, z planes are read in place of channels.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        check_directories(path, file, size)
    # siblings of an OME set are not opened: what is read is this file, or nothing
    with _silent_tifffile(), tifffile.TiffFile(path, _multifile=False) as tiff:
        return _read(path, tiff, size, _CHANNEL_AXES + "Z" if z_stack else _CHANNEL_AXES)


def _read(path: Path, tiff: Any, size: int, channel_axes: str) -> Stored:
    ome = tiff.ome_metadata if tiff.is_ome else None
    if ome is not None and "<!DOCTYPE" in ome:  # entities could expand without end, and OME-XML has none
        raise VsfError(f"{path} has a document type in its OME-XML, which no microscope writes: save it anew")
    description = describe_ome(path, ome) if ome is not None else Description()
    series = _largest_series(path, tiff)
    if ome is not None and series.kind not in ("ome", "mmstack"):
        raise VsfError(f"{path} does not hold what its OME-XML describes (a set of files?): save it as one OME-TIFF")
    keyframe = series.keyframe
    if ome is None and tiff.is_imagej:
        keys = tiff.imagej_metadata or {}
        description = describe_imagej(path, keys, _resolution(keyframe))
        _check_imagej(path, keys, series)

    axes, shape = series.get_axes(False), series.get_shape(False)
    outer = _check_axes(path, axes, shape, channel_axes)
    refuse_oversize(path, math.prod(shape))
    refuse_oversize(path, math.prod(keyframe.chunks))
    _check_samples(path, tiff, keyframe, series.dtype)
    _check_segments(path, series, size)

    array = _decode(path, series)
    if array.shape != tuple(shape) or array.dtype.newbyteorder("=") != series.dtype.newbyteorder("="):
        raise truncated(path)
    samples = _arrange(array, axes, outer)
    pixels, names = channels_of(
        path,
        samples,
        colour=keyframe.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR),
        alpha=bool(keyframe.extrasamples) and int(keyframe.extrasamples[-1]) in (1, 2),
    )
    return Stored(
        pixels=np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("=")),
        names=description.names if len(description.names) == len(pixels) else names,
        pixel_size_um=description.pixel_size_um,
        bit_depth=description.bit_depth or _stored_bits(keyframe),
    )


def _largest_series(path: Path, tiff: Any) -> Any:
    """Give the one image that is not a thumbnail of another."""
    series = [item for item in tiff.series if 0 not in item.shape]
    if not series:
        raise VsfError(f"{path} holds no image: copy it again from where it was recorded")
    areas = [_area(item) for item in series]
    largest = [item for item, area in zip(series, areas, strict=True) if area == max(areas)]
    if len(largest) > 1:
        raise VsfError(
            f"{path} holds {len(largest)} images of one size or several sample types: save one file for each"
        )
    return largest[0]


def _area(series: Any) -> int:
    sizes = dict(zip(series.get_axes(False), series.get_shape(False), strict=True))
    return int(sizes.get("Y", 0)) * int(sizes.get("X", 0))


def _check_axes(path: Path, axes: str, shape: tuple[int, ...], channel_axes: str) -> str:
    """Give the letter of the channel axis, or "" where there is only one page."""
    if "Y" not in axes or "X" not in axes:
        raise VsfError(f"{path} has the axes {axes}, which are not those of an image: save it as OME-TIFF")
    outer = [(axis, count) for axis, count in zip(axes, shape, strict=True) if axis not in "YXS" and count > 1]
    for axis, count in outer:
        if axis not in channel_axes:
            what = _AXIS_WORDS.get(axis, f"planes along {axis}")
            raise VsfError(f"{path} holds {count} {what}: project or split it first, so that one file is one field")
        if count > MAX_CHANNELS:
            raise VsfError(f"{path} holds {count} pages of one size, too many for channels: save one file per field")
    if len(outer) > 1:
        raise VsfError(f"{path} has the axes {axes}: split it first, so that one file is one field with its channels")
    return outer[0][0] if outer else ""


def _check_samples(path: Path, tiff: Any, page: Any, dtype: np.dtype[Any] | None) -> None:
    """Refuse samples that are not linear counts as they stand, or not safe to decode."""
    if page.compression not in _COMPRESSIONS:
        raise VsfError(f"{path} is compressed with {page.compression.name}: save it uncompressed, or with zlib or LZW")
    if dtype is None or dtype.newbyteorder("=") not in DTYPES or page.bitspersample == 1:
        kind = "1-bit" if page.bitspersample == 1 else dtype
        raise VsfError(f"{path} holds {kind} samples: save it as uint8, uint16 or float32")
    photometric = tifffile.PHOTOMETRIC
    if page.photometric == photometric.MINISWHITE:
        raise VsfError(f"{path} stores white as 0: invert it and save it anew, so that more light is a larger count")
    if page.photometric == photometric.PALETTE:
        # ImageJ stores counts beside a look-up table; elsewhere the samples are names of colours
        if not tiff.is_imagej:
            raise VsfError(f"{path} has a colour palette, so its samples are not counts: save it as greyscale")
    elif page.photometric not in (photometric.MINISBLACK, photometric.RGB, photometric.YCBCR):
        raise VsfError(f"{path} is neither grey nor RGB ({page.photometric!s}): save it as greyscale")


def _check_segments(path: Path, series: Any, size: int) -> None:
    """Every strip or tile of every page must be there, inside the file, and not empty."""
    if series.dataoffset is not None and series.dataoffset + series.nbytes > size:
        raise truncated(path)
    for page in series.pages:
        if page is None:
            raise VsfError(f"{path} lacks pages that its metadata describes: save the field as one complete file")
        offsets, counts = page.dataoffsets, page.databytecounts
        if len(offsets) != len(counts) or len(offsets) < math.prod(page.keyframe.chunked):
            raise truncated(path)
        for offset, count in zip(offsets, counts, strict=True):
            if offset <= 0 or count <= 0 or offset + count > size:
                raise truncated(path)


def _check_imagej(path: Path, keys: dict[str, Any], series: Any) -> None:
    images = int(keys.get("images", 1))
    outer = math.prod(
        n for axis, n in zip(series.get_axes(False), series.get_shape(False), strict=True) if axis not in "YXS"
    )
    if images > outer:
        raise VsfError(f"{path} lacks pages: ImageJ wrote {images} and {outer} are there; copy it again")


def _decode(path: Path, series: Any) -> npt.NDArray[np.generic]:
    if series.keyframe.compression not in _LIBTIFF:
        array: npt.NDArray[np.generic] = series.asarray(squeeze=False, maxworkers=1)  # fields are read in parallel
        return array
    data = path.read_bytes()
    pages = [imagecodecs.tiff_decode(data, index=page.index) for page in series.pages]
    return np.stack(pages).reshape(series.get_shape(False))


def _arrange(array: npt.NDArray[np.generic], axes: str, outer: str) -> npt.NDArray[np.generic]:
    """Give [C, S, H, W], adding or dropping axes of length 1."""
    wanted = [axis for axis in (outer, "S", "Y", "X") if axis and axis in axes]
    dropped = tuple(index for index, axis in enumerate(axes) if axis not in wanted)
    kept = [axis for axis in axes if axis in wanted]
    array = array.squeeze(axis=dropped).transpose([kept.index(axis) for axis in wanted])
    if "S" not in wanted:
        array = np.expand_dims(array, axis=-3)
    return array if outer else array[None]


def _stored_bits(page: Any) -> int:
    bits = page.bitspersample
    return int(bits) if isinstance(bits, int) else int(max(bits))


def _resolution(page: Any) -> tuple[float, float]:
    """Give pixels per unit along x and y as the resolution tags have them; 0 where they have not."""
    values = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        numerator, denominator = tag.value if tag is not None else (0, 1)
        values.append(numerator / denominator if denominator else 0.0)
    return values[0], values[1]


class _WhileQuiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _quiet.get()


logging.getLogger("tifffile").addFilter(_WhileQuiet())


@contextlib.contextmanager
def _silent_tifffile() -> Iterator[None]:
    """Keep tifffile's complaints off the terminal in this thread only: ours come as one sentence."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
