"""Write OME-TIFF and ImageJ composites: whole or not at all, with names, colours, pixel size and bit depth."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from vsframework.atomic import atomic_path
from vsframework.errors import UsageError, VsfError
from vsframework.images.description import SIGNIFICANT_BITS
from vsframework.images.image import Image

Colour = tuple[int, int, int]

GREY, RED, GREEN, BLUE = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)
STAIN_COLOURS: dict[str, Colour] = {
    "brightfield": GREY, "bf": GREY, "phase": GREY,
    "dsdna": GREEN, "green": GREEN, "g": GREEN, "gfp": GREEN, "fitc": GREEN,
    "ssdna": RED, "red": RED, "r": RED,
    "blue": BLUE, "b": BLUE, "dapi": BLUE, "hoechst": BLUE,
}  # fmt: skip
"""The colour in which a channel of this name is shown; acridine orange: dsDNA green, ssDNA red."""

OTHER_COLOURS: tuple[Colour, ...] = (GREEN, (255, 0, 255), (0, 255, 255), (255, 255, 0), RED, BLUE)
"""For other names, in turn, where an image has several channels."""

MAX_COMPOSITE = 7
"""ImageJ overlays at most 7 channels; more are shown one at a time, each in its colour."""


def write_ome_tiff(path: str | os.PathLike[str], image: Image, *, tile: int | None = None, note: str = "") -> None:
    """Write an uncompressed OME-TIFF with one page per channel.

    Names, colours, pixel size (also as the resolution tag) and SignificantBits are in its OME-XML. Strips are the
    default because plain ImageJ opens nothing else.

    Parameters
    ----------
    path
        Ends in .tif or .tiff, best in .ome.tif.
    image
        What to write.
    tile
        Side of a tile in pixels, a multiple of 16, for very large images; None for strips.
    note
        OME's description of the image, in words.

    Raises
    ------
    UsageError
        When the name or the tile is wrong.
    VsfError
        When `image` has become invalid, or the file cannot be written; what `path` was before is untouched.
    """
    if tile is not None and (tile < 16 or tile % 16):
        raise UsageError(f"a tile of {tile} px cannot be written: TIFF needs a multiple of 16")
    colours = [colour_of(image.channels, index) for index in range(len(image.channels))]
    metadata: dict[str, Any] = {
        "axes": "CYX",
        "UUID": _identity(image),
        SIGNIFICANT_BITS: image.bit_depth,
        "Channel": {"Name": list(image.channels), "Color": [_ome_colour(colour) for colour in colours]},
    }
    if note:
        metadata["Description"] = note
    options: dict[str, Any] = {}
    if image.pixel_size_um is not None:
        size = float(image.pixel_size_um)
        metadata |= {"PhysicalSizeX": size, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": size, "PhysicalSizeYUnit": "µm"}
        options |= {"resolution": (1e4 / size, 1e4 / size), "resolutionunit": "CENTIMETER"}
    if tile is not None:
        options["tile"] = (tile, tile)
    _write(path, image, image.pixels, ome=True, metadata=metadata, **options)


def write_imagej_tiff(path: str | os.PathLike[str], image: Image) -> None:
    """Write a TIFF that ImageJ and Fiji open as a calibrated composite.

    Channel names are its slice labels, colours its look-up tables; each channel is displayed from its own minimum to
    its own maximum, which changes no count. The bit depth is an image property.

    Raises
    ------
    UsageError
        When the name does not end in .tif or .tiff.
    VsfError
        When `image` has become invalid, or the file cannot be written; what `path` was before is untouched.
    """
    count = len(image.channels)
    metadata: dict[str, Any] = {
        "axes": "TZCYXS",
        "Labels": list(image.channels),
        "Ranges": [limit for plane in image.pixels for limit in _display_range(plane)],
        "LUTs": [_look_up_table(colour_of(image.channels, index)) for index in range(count)],
        "Info": f"{SIGNIFICANT_BITS} = {image.bit_depth}\n",
    }
    if count > 1:
        metadata["mode"] = "composite" if count <= MAX_COMPOSITE else "color"
    options: dict[str, Any] = {}
    if image.pixel_size_um is not None:
        metadata["unit"] = "um"
        options["resolution"] = (1 / image.pixel_size_um, 1 / image.pixel_size_um)
    # all six axes: with fewer, tifffile takes narrow channels for RGB samples
    _write(path, image, image.pixels[None, None, ..., None], imagej=True, metadata=metadata, **options)


def colour_of(channels: tuple[str, ...], index: int) -> Colour:
    """Give the display colour (red, green, blue, 0 to 255) of one channel among `channels`."""
    known = [STAIN_COLOURS.get(name.lower()) for name in channels]
    colour = known[index]
    if colour is not None:
        return colour
    if len(channels) == 1:
        return GREY
    free = [other for other in OTHER_COLOURS if other not in known] or OTHER_COLOURS
    return free[known[:index].count(None) % len(free)]


def _write(path: str | os.PathLike[str], image: Image, pixels: npt.NDArray[np.generic], **options: Any) -> None:
    path = Path(path)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise UsageError(f"{path} would be a TIFF under another name: let it end in .tif")
    if path.is_dir():
        raise VsfError(f"{path} is a folder: choose the name of a file")
    image.check()
    with atomic_path(path) as temporary:
        try:
            tifffile.imwrite(temporary, pixels, photometric="minisblack", bigtiff=False, **options)
        except OSError:
            raise  # atomic_path says what a full disk means
        except Exception as error:
            raise VsfError(f"{path} cannot be written as TIFF: {error}") from error


def _identity(image: Image) -> str:
    """Give OME's UUID from the pixels, so that one image gives one file, byte for byte, on every machine."""
    pixels = np.ascontiguousarray(image.pixels)
    return str(uuid.UUID(bytes=hashlib.blake2b(pixels.data, digest_size=16).digest(), version=5))


def _ome_colour(colour: Colour) -> int:
    """Pack into OME's signed 32-bit RGBA, opaque."""
    return int.from_bytes(bytes([*colour, 255]), "big", signed=True)


def _look_up_table(colour: Colour) -> npt.NDArray[np.uint8]:
    """Ramp from black to `colour`, [3, 256]."""
    ramp = np.arange(256)
    return np.stack([ramp * part // 255 for part in colour]).astype(np.uint8)


def _display_range(plane: npt.NDArray[np.generic]) -> tuple[float, float]:
    low, high = float(plane.min()), float(plane.max())
    return low, high if high > low else low + 1
