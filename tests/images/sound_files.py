"""Small files of every kind, as we and others write them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import tifffile
import zarr

from vsframework.images import Image, write_imagej_tiff, write_ome_tiff, write_ome_zarr

PIXELS = np.stack([np.arange(24 * 20).reshape(24, 20) % 251, np.arange(24 * 20).reshape(24, 20) % 199]).astype(np.uint8)
IMAGE = Image(pixels=PIXELS, channels=("dsDNA", "ssDNA"), pixel_size_um=0.13, bit_depth=8)
DEEP = Image(pixels=PIXELS.astype(np.uint16) * 16, channels=("dsDNA", "ssDNA"), pixel_size_um=0.13, bit_depth=12)


def tiff(path: Path, **options: Any) -> None:
    tifffile.imwrite(path, np.repeat(PIXELS[0, ..., None], 3, axis=-1), photometric="rgb", rowsperstrip=4, **options)


def grey(path: Path, **options: Any) -> None:
    tifffile.imwrite(path, PIXELS.astype(np.uint16), photometric="minisblack", metadata={"axes": "CYX"}, **options)


def stack(path: Path, **options: Any) -> None:
    pixels = np.stack([PIXELS, PIXELS[:, ::-1]])[None]
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "TZCYX"}, **options)


def two_images(path: Path, **options: Any) -> None:
    with tifffile.TiffWriter(path, **options) as tiff:
        for pixels in (PIXELS, PIXELS[:, ::-1]):
            tiff.write(pixels, photometric="minisblack", metadata={"axes": "CYX"}, compression="zlib")


def bytes_of(write: Callable[[Path], object], name: str = "f.ome.tif") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def tiffs() -> list[bytes]:
    return [
        bytes_of(lambda path: write_ome_tiff(path, IMAGE)),
        bytes_of(lambda path: write_ome_tiff(path, DEEP, tile=16)),
        bytes_of(lambda path: write_imagej_tiff(path, DEEP)),
        bytes_of(lambda path: tiff(path), "f.tif"),
        *(
            bytes_of(lambda path, kind=kind: tiff(path, compression=kind), "f.tif")
            for kind in ("lzw", "packbits", "zlib", "zstd", "jpeg")
        ),
        *(
            bytes_of(
                lambda path, kind=kind, tile=tile: grey(path, compression=kind, predictor=True, tile=tile), "f.tif"
            )
            for kind in ("lzw", "zlib", "zstd")
            for tile in (None, (16, 16))
        ),
        bytes_of(lambda path: grey(path, bigtiff=True, compression="zlib", byteorder=">"), "f.tif"),
        bytes_of(lambda path: stack(path, ome=True)),
        bytes_of(lambda path: two_images(path, ome=True)),
        bytes_of(lambda path: two_images(path), "f.tif"),
        bytes_of(lambda path: stack(path, imagej=True), "f.tif"),
    ]


def zarrs(folder: Path) -> list[Path]:
    write_ome_zarr(folder / "own.zarr", DEEP, chunk=16)
    found = [folder / "own.zarr"]
    for version, codec in ((3, "gzip"), (3, "sharded"), (2, "blosc"), (2, "zlib")):
        path = folder / f"v{version}-{codec}.zarr"
        group = zarr.create_group(path, zarr_format=version)  # type: ignore[arg-type]
        options: dict[str, Any] = {"shape": PIXELS.shape, "dtype": np.uint16, "chunks": (1, 8, 10)}
        if codec == "gzip":
            options["compressors"] = zarr.codecs.GzipCodec()
        if codec == "sharded":
            options["shards"] = (1, 24, 20)
        if codec == "zlib":
            options["compressors"] = numcodecs.Zlib()
        group.create_array("0", **options)[:] = PIXELS
        axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "cyx"]
        levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.13, 0.13]}]}]
        scales = [{"version": "0.4", "axes": axes, "datasets": levels}]
        if version == 3:
            group.attrs["ome"] = {"version": "0.5", "multiscales": scales}
        else:
            group.attrs["multiscales"] = scales
        found.append(path)
    return found
