"""Strategies: small images of any shape and type, written as files of any kind, with what must come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
import zarr
from hypothesis import strategies as st

Pixels = npt.NDArray[np.generic]

DTYPES = st.sampled_from([np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)])
COMPRESSIONS = st.sampled_from([None, "zlib", "lzw", "zstd", "packbits"])
SIDES = st.integers(1, 40)
FEW = st.integers(1, 3)


@dataclass(frozen=True, kw_only=True)
class MadeFile:
    """How to write a file of one kind, under which name, and its pixels [T, C, Z, Y, X]."""

    kind: str
    name: str
    pixels: Pixels
    write: Callable[[Path], object]

    def __repr__(self) -> str:
        return f"{self.kind} of {self.pixels.dtype} [T, C, Z, Y, X] = {self.pixels.shape}"


def pixels_of(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int) -> Pixels:
    """Give pixels over the whole range of `dtype`; drawn by numpy, since hypothesis is slow with many."""
    chance = np.random.default_rng(seed)
    if dtype.kind == "f":
        return chance.normal(0, 1e3, shape).astype(dtype)
    return chance.integers(0, 2 ** (8 * dtype.itemsize), shape, dtype=dtype.type)


@st.composite
def tiff_options(draw: st.DrawFn, dtype: np.dtype[Any]) -> dict[str, Any]:
    compression = draw(COMPRESSIONS)
    options: dict[str, Any] = {"compression": compression, "byteorder": draw(st.sampled_from("<>"))}
    if draw(st.booleans()):
        options["tile"] = (16, draw(st.sampled_from([16, 32])))
    else:
        options["rowsperstrip"] = draw(st.integers(1, 40))
    options["bigtiff"] = draw(st.booleans())
    if compression in ("zlib", "lzw", "zstd"):
        options["predictor"] = dtype.kind != "f" and draw(st.booleans())
    return options


@st.composite
def plain_tiffs(draw: st.DrawFn) -> MadeFile:
    """Write axes in any order, as tifffile's own description names them.

    Not of one column: tifffile puts such planes into one page (see test_reading_kinds.py).
    """
    return draw(_tiffs("plain TIFF", "f.tif", {}, narrowest=2))


@st.composite
def ome_tiffs(draw: st.DrawFn) -> MadeFile:
    return draw(_tiffs("OME-TIFF", "f.ome.tif", {"ome": True}, narrowest=1))


@st.composite
def _tiffs(draw: st.DrawFn, kind: str, name: str, fixed: dict[str, Any], narrowest: int) -> MadeFile:
    dtype = draw(DTYPES)
    shape = (draw(FEW), draw(FEW), draw(FEW), draw(SIDES), draw(st.integers(narrowest, 40)))
    pixels = pixels_of(shape, dtype, draw(st.integers(0, 99)))
    order = draw(st.permutations("TCZ"))
    axes = "".join(axis for axis in order if shape["TCZ".index(axis)] > 1 or draw(st.booleans())) + "YX"
    stored = _transposed(pixels, axes)
    options = {**fixed, **draw(tiff_options(dtype))}

    def write(path: Path) -> None:
        tifffile.imwrite(path, stored, photometric="minisblack", metadata={"axes": axes}, **options)

    return MadeFile(kind=f"{kind} {axes} {options}", name=name, pixels=pixels, write=write)


def _transposed(pixels: Pixels, axes: str) -> Pixels:
    """Give [T, C, Z, Y, X] in the order of `axes`; those not named have length 1."""
    dropped = tuple(place for place, axis in enumerate("TCZYX") if axis not in axes)
    kept = [axis for axis in "TCZYX" if axis in axes]
    return np.ascontiguousarray(pixels.squeeze(dropped).transpose([kept.index(axis) for axis in axes]))


@st.composite
def imagej_tiffs(draw: st.DrawFn) -> MadeFile:
    dtype = draw(DTYPES)
    pixels = pixels_of((draw(FEW), draw(FEW), draw(FEW), draw(SIDES), draw(SIDES)), dtype, draw(st.integers(0, 99)))
    stored = np.ascontiguousarray(pixels.transpose(0, 2, 1, 3, 4))[..., None]

    def write(path: Path) -> None:
        tifffile.imwrite(path, stored, imagej=True, photometric="minisblack", metadata={"axes": "TZCYXS"})

    return MadeFile(kind="ImageJ TIFF", name="f.tif", pixels=pixels, write=write)


@st.composite
def ome_zarrs(draw: st.DrawFn) -> MadeFile:
    """Write 0.4 and 0.5, with or without the axes of length 1, in chunks of any size."""
    dtype = draw(DTYPES)
    shape = (draw(FEW), draw(FEW), draw(FEW), draw(SIDES), draw(SIDES))
    pixels = pixels_of(shape, dtype, draw(st.integers(0, 99)))
    axes = "".join(axis for axis, length in zip("TCZ", shape, strict=False) if length > 1 or draw(st.booleans())) + "YX"
    stored = _transposed(pixels, axes)
    chunks = tuple(draw(st.integers(1, length)) if axis in "TCZ" else draw(st.integers(7, 40))
                   for axis, length in zip(axes, stored.shape, strict=True))  # fmt: skip
    version = draw(st.sampled_from([2, 3]))

    def write(path: Path) -> None:
        group = zarr.create_group(path, zarr_format=version)  # type: ignore[arg-type]
        group.create_array("0", data=stored, chunks=chunks)
        scales = [{"version": "0.4", "axes": [{"name": axis.lower()} for axis in axes], "datasets": [{"path": "0"}]}]
        attributes: dict[str, Any] = {"multiscales": scales}
        group.attrs.update({"ome": {"version": "0.5", **attributes}} if version == 3 else attributes)

    return MadeFile(kind=f"OME-Zarr {version} {axes} {chunks}", name="f.zarr", pixels=pixels, write=write)


@st.composite
def numpy_arrays(draw: st.DrawFn) -> MadeFile:
    channels = draw(FEW)
    pixels = pixels_of((1, channels, 1, draw(SIDES), draw(SIDES)), draw(DTYPES), draw(st.integers(0, 99)))
    stored = pixels[0, 0, 0] if channels == 1 and draw(st.booleans()) else pixels[0, :, 0]
    stored = stored.astype(stored.dtype.newbyteorder(draw(st.sampled_from("<>"))))
    return MadeFile(kind="NumPy", name="f.npy", pixels=pixels, write=lambda path: np.save(path, stored))


@st.composite
def grey_pngs(draw: st.DrawFn) -> MadeFile:
    dtype = draw(st.sampled_from([np.dtype(np.uint8), np.dtype(np.uint16)]))
    pixels = pixels_of((1, 1, 1, draw(SIDES), draw(SIDES)), dtype, draw(st.integers(0, 99)))
    return MadeFile(kind="PNG", name="f.png", pixels=pixels, write=lambda path: cv2.imwrite(str(path), pixels[0, 0, 0]))


@st.composite
def colour_files(draw: st.DrawFn) -> MadeFile:
    """Write red, green and blue: three channels, or the one of which all three are copies."""
    dtype = draw(st.sampled_from([np.dtype(np.uint8), np.dtype(np.uint16)]))
    equal = draw(st.booleans())
    height, width = draw(SIDES), draw(SIDES)
    pixels = pixels_of((1, 1 if equal else 3, 1, height, width), dtype, draw(st.integers(0, 99)))
    rgb = np.broadcast_to(pixels[0, :, 0], (3, height, width)).transpose(1, 2, 0)
    if not equal and (rgb == rgb[..., :1]).all():  # by chance, in an image of very few pixels
        pixels = pixels[:, :1]
    if draw(st.booleans()):
        options = draw(tiff_options(dtype))
        return MadeFile(kind=f"RGB TIFF {options}", name="f.tif", pixels=pixels,
                        write=lambda path: tifffile.imwrite(path, rgb, photometric="rgb", **options))  # fmt: skip
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    return MadeFile(kind="RGB PNG", name="f.png", pixels=pixels, write=lambda path: cv2.imwrite(str(path), bgr))


def made_files() -> st.SearchStrategy[MadeFile]:
    return st.one_of(
        plain_tiffs(), ome_tiffs(), imagej_tiffs(), ome_zarrs(), numpy_arrays(), grey_pngs(), colour_files()
    )
