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
from vsframework.images.description import Description, OmeImage, describe_imagej, images_of_ome
from vsframework.images.directories import check_directories, truncated
from vsframework.images.image import DTYPES
from vsframework.images.scenes import choose_scene
from vsframework.images.stored import Stored, channels_of, refuse_oversize, whole_planes
from vsframework.images.tiff_planes import LIBTIFF, TiffPlanes, file_of
from vsframework.readers import StoredPlanes

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
_AXIS_WORDS = {"Z": "z planes", "T": "time points"}
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def open_tiff(path: Path, scene: int | None = None) -> StoredPlanes:
    """Open one image of a TIFF: OME (also a set of files), ImageJ, Micro-Manager, or plain.

    The pages of a file that does not say what they are count as channels. A grey TIFF is read when pixels are asked
    for; one in colour is read now, since equal red, green and blue are one channel.

    Parameters
    ----------
    scene
        Which image, counted from 0 as in the OME-XML, else as series of pages of one size and type come in the file;
        None for the only one that is no thumbnail.
    """
    check_file(path)
    with _silent_tifffile(), tifffile.TiffFile(path, _multifile=False) as tiff:
        ome = tiff.ome_metadata if tiff.is_ome else None
        if ome is None:
            return _open(path, tiff, _series(path, tiff, scene), Description())
        if "<!DOCTYPE" in ome:  # entities could expand without end, and OME-XML has none
            raise VsfError(f"{path} has a document type in its OME-XML, which no microscope writes: save it anew")
        images = images_of_ome(path, ome, _page_pixels(tiff))
        index = _scene_of_ome(path, images, scene)
        here = {path.name}
        whole_set = frozenset[str]().union(*(image.files for image in images))
        needed = images[index].files if images and _kind(tiff) == "mmstack" else whole_set
        if needed <= here:
            return _open_ome(path, tiff, images, index)
    for name in sorted(needed):
        check_file(path.with_name(name))
    with _silent_tifffile(), tifffile.TiffFile(path) as tiff:
        return _open_ome(path, tiff, images, index)


def check_file(path: Path) -> None:
    """Hold one file against the structure of a TIFF before a library opens it.

    Raises
    ------
    VsfError
        When it is missing or broken.
    """
    if not path.is_file():
        raise VsfError(f"{path} is missing, and other files of its OME set need it: copy the set as a whole")
    with path.open("rb") as file:
        check_directories(path, file, path.stat().st_size)


def _scene_of_ome(path: Path, images: list[OmeImage], scene: int | None) -> int:
    if not images:
        return 0
    here = [not image.files or path.name in image.files for image in images]
    return choose_scene(path, [image.size for image in images], [image.name for image in images], scene, here)


def _open_ome(path: Path, tiff: Any, images: list[OmeImage], index: int) -> StoredPlanes:
    described = images[index].describe(path) if images else Description()
    if _kind(tiff) == "mmstack":  # Micro-Manager describes every position in each file, which holds only its own
        return _open(path, tiff, _series(path, tiff, None), described, ome=True)
    if _kind(tiff) != "ome" or len(tiff.series) != len(images):
        raise VsfError(f"{path} does not hold what its OME-XML describes: save it as one OME-TIFF")
    return _open(path, tiff, tiff.series[index], described, ome=True)


def _kind(tiff: Any) -> str:
    return str(tiff.series[0].kind) if tiff.series else ""


def _open(path: Path, tiff: Any, series: Any, description: Description, ome: bool = False) -> StoredPlanes:
    keyframe = series.keyframe
    if not ome and tiff.is_imagej:
        keys = tiff.imagej_metadata or {}
        description = describe_imagej(path, keys, _resolution(keyframe))
        _check_imagej(path, keys, series)
    axes, shape = series.get_axes(False), series.get_shape(False)
    _check_axes(path, axes)
    _check_samples(path, tiff, keyframe, series.dtype)
    _check_segments(path, tiff, series)
    bits = description.bit_depth or _stored_bits(keyframe)
    sizes = dict(zip(axes, shape, strict=True))
    if sizes.get("S", 1) > 1:
        return _colour(path, tiff, series, description, bits)
    if keyframe.imagedepth > 1:
        raise VsfError(f"{path} stores volumes, not planes: save it with one page per plane")
    refuse_oversize(path, math.prod(keyframe.chunks))
    outer = [(axis, count) for axis, count in zip(axes, shape, strict=True) if axis not in "YXS" and count > 1]
    planes = TiffPlanes(path, tiff, series)

    def read(t: int, c: int, z: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
        place = {"T": t, "Z": z}
        plane = 0
        for axis, count in outer:
            plane = plane * count + place.get(axis, c)
        return planes.read(plane, rows, columns)

    counts = dict(outer)
    channels = math.prod(count for axis, count in outer if axis not in "TZ")
    return StoredPlanes(
        shape=(counts.get("T", 1), channels, counts.get("Z", 1), planes.height, planes.width),
        dtype=np.dtype(series.dtype),
        read=read,
        channels=description.names if len(description.names) == channels else (),
        pixel_size_um=description.pixel_size_um,
        bit_depth=bits,
        chunk=planes.chunk,
    )


def _page_pixels(tiff: Any) -> int:
    page = tiff.pages.first
    return max(1, int(page.imagewidth) * int(page.imagelength))


def _colour(path: Path, tiff: Any, series: Any, description: Description, bits: int) -> StoredPlanes:
    axes, shape, keyframe = series.get_axes(False), series.get_shape(False), series.keyframe
    outer = [axis for axis, count in zip(axes, shape, strict=True) if axis not in "YXS" and count > 1]
    if outer and outer[0] in "TZ":
        raise VsfError(
            f"{path} holds several {_AXIS_WORDS[outer[0]]} in colour: save one file per plane, or grey planes"
        )
    refuse_oversize(path, math.prod(shape))
    refuse_oversize(path, math.prod(keyframe.chunks))
    array = _decode(path, tiff, series)
    if array.shape != tuple(shape) or array.dtype.newbyteorder("=") != series.dtype.newbyteorder("="):
        raise truncated(path)
    pixels, names = channels_of(
        path,
        _arrange(array, axes, outer[0] if outer else ""),
        colour=keyframe.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR),
        alpha=bool(keyframe.extrasamples) and int(keyframe.extrasamples[-1]) in (1, 2),
    )
    return whole_planes(
        Stored(
            pixels=np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("=")),
            names=description.names if len(description.names) == len(pixels) else names,
            pixel_size_um=description.pixel_size_um,
            bit_depth=bits,
        )
    )


def _series(path: Path, tiff: Any, scene: int | None) -> Any:
    """Give the image `scene` of a file without OME-XML, or the only one that is no thumbnail."""
    sizes = [_size(item) if 0 not in item.shape else (0, 0) for item in tiff.series]
    return tiff.series[choose_scene(path, sizes, [""] * len(sizes), scene)]


def _size(series: Any) -> tuple[int, int]:
    sizes = dict(zip(series.get_axes(False), series.get_shape(False), strict=True))
    return int(sizes.get("X", 0)), int(sizes.get("Y", 0))


def _check_axes(path: Path, axes: str) -> None:
    if "Y" not in axes or "X" not in axes:
        raise VsfError(f"{path} has the axes {axes}, which are not those of an image: save it as OME-TIFF")
    unknown = [axis for axis in axes if axis not in "TZYXS" + _CHANNEL_AXES]
    if unknown or sum(axis in _CHANNEL_AXES for axis in axes) > 1:
        raise VsfError(f"{path} has the axes {axes}: split it first, so that one file is one field with its channels")


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


def _check_segments(path: Path, tiff: Any, series: Any) -> None:
    """Every strip or tile of every page must be there, inside its file, and not empty."""
    first = file_of(path, tiff, series.keyframe)
    if series.dataoffset is not None and series.dataoffset + series.nbytes > first.stat().st_size:
        raise truncated(first)
    sizes: dict[Path, int] = {}
    for page in series.pages:
        if page is None:
            raise VsfError(f"{path} lacks pages that its metadata describes: save the field as one complete file")
        holder = file_of(path, tiff, page)
        size = sizes.setdefault(holder, page.parent.filehandle.size)
        offsets, counts = page.dataoffsets, page.databytecounts
        if len(offsets) != len(counts) or len(offsets) < math.prod(page.keyframe.chunked):
            raise truncated(holder)
        for offset, count in zip(offsets, counts, strict=True):
            if offset <= 0 or count <= 0 or offset + count > size:
                raise truncated(holder)


def _check_imagej(path: Path, keys: dict[str, Any], series: Any) -> None:
    images = int(keys.get("images", 1))
    outer = math.prod(
        n for axis, n in zip(series.get_axes(False), series.get_shape(False), strict=True) if axis not in "YXS"
    )
    if images > outer:
        raise VsfError(f"{path} lacks pages: ImageJ wrote {images} and {outer} are there; copy it again")


def _decode(path: Path, tiff: Any, series: Any) -> npt.NDArray[np.generic]:
    if series.keyframe.compression not in LIBTIFF:
        array: npt.NDArray[np.generic] = series.asarray(squeeze=False, maxworkers=1)  # fields are read in parallel
        return array
    pages = [imagecodecs.tiff_decode(file_of(path, tiff, page).read_bytes(), index=page.index) for page in series.pages]
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
