"""Brightfield images in, stains out: linear counts, their values never rescaled, through OpenCV."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.atomic import write_bytes
from vsf_edge.errors import EdgeError
from vsf_edge.frames import Pixels
from vsf_edge.interfaces import Array
from vsf_edge.manifest import Manifest

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
MAX_IMAGE_BYTES = 1 << 30

_UNCOMPRESSED = [cv2.IMWRITE_TIFF_COMPRESSION, 1]  # what every reader opens, plain ImageJ among them


def counts_in(content: npt.NDArray[np.uint8], name: Path | str, manifest: Manifest) -> list[npt.NDArray[np.generic]]:
    """Give the brightfield planes in the bytes of an image file, each [H, W], all of one size and in counts.

    A model of one plane takes the first page of a file; one of several planes takes as many pages. A colour file is
    taken where its planes are equal, as cameras with a colour format write grey.

    Raises
    ------
    EdgeError
        When it cannot be decoded, has colour, or counts beyond the model's range; `name` stands in the sentence.
    """
    pages = [_grey(page, name) for page in _decode(content, name)[: manifest.in_channels]]
    check_counts(pages, name, manifest)
    return pages


def check_counts(pages: Sequence[npt.NDArray[np.generic]], name: Path | str, manifest: Manifest) -> None:
    """Refuse brightfield planes that are not of the kind that the model takes.

    Raises
    ------
    EdgeError
        When they are too few, of several sizes, hold counts beyond the model's range, or were rescaled to 0 to 1.
    """
    if len(pages) < manifest.in_channels:
        raise EdgeError(f"{name} has {len(pages)} planes and the model takes {manifest.in_channels}")
    if len({page.shape for page in pages}) > 1:
        raise EdgeError(f"{name} has planes of different sizes")
    if pages[0].dtype == np.uint8 and manifest.input_full_scale > 255:
        raise EdgeError(
            f"{name} has 8 bits and the model takes camera counts up to {manifest.input_full_scale:g}: "
            "save it in 16 bits, without rescaling"
        )
    low, high = min(float(page.min()) for page in pages), max(float(page.max()) for page in pages)
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > manifest.input_full_scale:
        raise EdgeError(
            f"{name} holds values from {low:g} to {high:g} and the model takes counts from 0 to "
            f"{manifest.input_full_scale:g}: is it from the same kind of camera?"
        )
    if high <= 1 < manifest.input_full_scale and np.issubdtype(pages[0].dtype, np.floating):
        raise EdgeError(
            f"{name} holds no value above 1 and the model takes counts from 0 to {manifest.input_full_scale:g}: "
            "give the camera's counts, not rescaled"
        )


def read_pages(path: Path) -> list[Pixels]:
    """Read every page of an image file as it stands in it: uint8 or uint16 [H, W], raw counts.

    Raises
    ------
    EdgeError
        When it cannot be read, is cut off, has colour, or does not hold camera counts.
    """
    pages = [_grey(page, path) for page in _decode(content_of(path), path)]
    if any(page.dtype == np.float32 for page in pages):
        raise EdgeError(f"{path} holds float32 pixels and a camera gives uint8 or uint16: save raw counts")
    return [cast(Pixels, page) for page in pages]


def write_stain(path: Path, stain: Array, dtype: str = "float32") -> None:
    """Write one stain [H, W], counts >= 0, as TIFF; ``uint16`` rounds to whole counts.

    Raises
    ------
    EdgeError
        When a count does not fit into 16 bits, or the file cannot be written.
    """
    done, encoded = cv2.imencode(".tif", _as_dtype(stain, dtype, path), _UNCOMPRESSED)
    if not done:
        raise EdgeError(f"{path} cannot be encoded as TIFF")
    write_bytes(path, encoded.tobytes())


def write_ome(
    path: Path,
    brightfield: Array,
    stains: Array,
    manifest: Manifest,
    dtype: str = "float32",
    pixel_size_um: float | None = None,
    note: str = "",
) -> None:
    """Write one OME-TIFF with the planes of `brightfield` [C, H, W] and the `stains` [S, H, W], counts, by name.

    In uncompressed strips, which every reader opens. The names of the planes are those of the bundle; `pixel_size_um`
    is that of the planes, None where it is not known, and `note` ends its description.

    Raises
    ------
    EdgeError
        When ``tifffile`` is not installed, a count does not fit, or the file cannot be written.
    """
    try:
        import tifffile
    except ImportError as error:
        raise EdgeError(f"OME-TIFF needs the library tifffile ({error}): pip install 'vsf-edge[ome]'") from error
    planes = ["brightfield", *(f"brightfield {index}" for index in range(2, len(brightfield) + 1))]
    metadata: dict[str, object] = {
        "axes": "CYX",
        "Channel": {"Name": [*planes, *(stain.name for stain in manifest.stains)]},
        "Description": f"Virtual stains by vsf-edge; {manifest.intended_use}. Counts. {note}".strip(),
    }
    if pixel_size_um is not None:
        metadata |= {f"PhysicalSize{axis}": pixel_size_um for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    image = _as_dtype(np.concatenate([brightfield, stains]), dtype, path)
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, ome=True, photometric="minisblack", metadata=metadata)
    write_bytes(path, stream.getvalue())


def _as_dtype(counts: Array, dtype: str, path: Path) -> npt.NDArray[np.float32 | np.uint16]:
    if dtype != "uint16":
        return np.asarray(counts, np.float32)
    rounded = np.rint(counts)
    if rounded.max(initial=0.0) > 65535:
        raise EdgeError(f"{path} cannot hold counts above 65535 in 16 bits: write float32")
    return rounded.astype(np.uint16)


def content_of(path: Path) -> npt.NDArray[np.uint8]:
    """Give the bytes of a file. Through memory: OpenCV cannot open every path on every system.

    Raises
    ------
    EdgeError
        When it cannot be read, or is larger than any image should be.
    """
    try:
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise EdgeError(f"{path} is larger than {MAX_IMAGE_BYTES >> 20} MiB")
        return np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise EdgeError(f"there is no image {path}") from None
    except OSError as error:
        raise EdgeError(f"{path} cannot be read: {error.strerror or error}") from error


def _decode(content: npt.NDArray[np.uint8], name: Path | str) -> list[npt.NDArray[np.generic]]:
    """Give the pages of a file as they stand in it."""
    try:
        done, pages = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED) if content.size else (False, ())
    except cv2.error as error:
        raise EdgeError(f"{name} cannot be decoded as an image: {error.err or error}") from error
    if not done or not pages:
        raise EdgeError(f"{name} cannot be decoded as an image ({', '.join(SUFFIXES)} are read)")
    return list(pages)


def _grey(page: npt.NDArray[np.generic], name: Path | str) -> npt.NDArray[np.generic]:
    if page.dtype not in (np.uint8, np.uint16, np.float32):
        raise EdgeError(f"{name} holds {page.dtype} pixels; uint8, uint16 and float32 are read")
    if page.ndim == 2:
        return page
    colour = page[:, :, :3]
    if not all(np.array_equal(colour[:, :, 0], colour[:, :, plane]) for plane in range(colour.shape[2])):
        raise EdgeError(f"{name} is a colour image: save the brightfield channel in grey")
    return colour[:, :, 0]


def fit(page: npt.NDArray[np.generic], manifest: Manifest, name: Path | str) -> npt.NDArray[np.generic]:
    """Resize a square crop to the model's square patch: bilinear when it grows, area-averaged when it shrinks."""
    height, width = page.shape
    size = manifest.patch_size
    if size is None or height == width == size:
        return page
    if manifest.height is None and height != width:  # a model of one size says so itself
        raise EdgeError(f"{name} is {width} x {height} px and no square crop of a cell: give --kind field to stain it")
    if height != width or height == 0:
        return page
    method = cv2.INTER_AREA if height > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(page.astype(np.float32), (size, size), interpolation=method))


def check_size(shape: tuple[int, ...], manifest: Manifest, path: Path) -> None:
    """Refuse an image [H, W] of a size that the model does not take.

    Raises
    ------
    EdgeError
        When it is too large, or no multiple of the model's stride.
    """
    for side, length, wanted in (("high", shape[0], manifest.height), ("wide", shape[1], manifest.width)):
        if wanted is not None and length != wanted:
            raise EdgeError(
                f"{path} is {length} px {side} and the model takes patches {wanted} px {side}: cut square patches"
            )
        limit = manifest.max_height if side == "high" else manifest.max_width
        if limit is not None and length > limit:
            raise EdgeError(f"{path} is {length} px {side} and the model takes at most {limit} px: cut it into tiles")
        if length < 1 or length % manifest.stride:
            raise EdgeError(f"{path} is {length} px {side} and the model takes multiples of {manifest.stride} px")
