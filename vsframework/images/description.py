"""What a TIFF says about its pixels: OME-XML, or ImageJ's own keys."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from vsframework.errors import VsfError

MICROMETRES = {
    "Å": 1e-4, "pm": 1e-6, "nm": 1e-3, "nanometer": 1e-3,
    "µm": 1.0, "μm": 1.0, "um": 1.0, "\\u00B5m": 1.0, "\\u00b5m": 1.0,
    "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "mm": 1e3, "cm": 1e4, "m": 1e6,
    "angstrom": 1e-4, "picometer": 1e-6, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6,
}  # fmt: skip
"""Length of a unit in µm; the micro and the Greek mu are two characters, and ImageJ escapes one of them.
No inch: ImageJ copies it from the 72 dpi of a screenshot."""

SQUARE_WITHIN = 1e-3
"""Relative difference of pixel width and height that a rounded rational can make, and no more."""

MAX_PLANES = 2**20
"""Planes that one OME-XML may describe: twelve days of a frame per second."""

SIGNIFICANT_BITS = "SignificantBits"
"""OME's attribute, and the key that we put among ImageJ's image properties, which know no bit depth."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """Channel names (any number), pixel size in µm, and significant bits, each where the file says so."""

    names: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    bit_depth: int | None = None


@dataclass(frozen=True, kw_only=True)
class OmeImage:
    """One image of OME-XML: its name (or none), width and height, the files of its set that hold its pixels, and more.

    `files` is empty where all pixels are in the file that holds the XML.
    """

    name: str
    size: tuple[int, int]
    files: frozenset[str]
    pixels: ElementTree.Element

    def describe(self, path: Path) -> Description:
        """Read what it says about its pixels.

        Raises
        ------
        VsfError
            When pixels are not square, or a unit is no length.
        """
        sizes = [_ome_length(path, self.pixels, axis) for axis in "XY"]
        bits = self.pixels.get(SIGNIFICANT_BITS, "")
        return Description(
            names=tuple(channel.get("Name", "") for channel in self.pixels.findall("{*}Channel")),
            pixel_size_um=square_pixel(path, sizes[0], sizes[1]),
            bit_depth=int(bits) if re.fullmatch(r"[0-9]{1,3}", bits) else None,
        )


def images_of_ome(path: Path, xml: str, page_pixels: int) -> list[OmeImage]:
    """Find the images of OME-XML, in order.

    Parameters
    ----------
    page_pixels
        Of the first page of the file: what it describes must be a number of pages of such a size.

    Raises
    ------
    VsfError
        When the pixels are described in another file, there would be more planes than any field has, or a file of the
        set lies elsewhere.
    """
    root = ElementTree.fromstring(xml)  # noqa: S314 - a document type is refused before this is called
    only = root.find("{*}BinaryOnly")
    if only is not None:
        name = only.get("MetadataFile", "")
        raise VsfError(
            f"{path} holds only pixels and is described by another file of its set"
            f"{f' ({name})' if name and name.isprintable() else ''}: name that one, or save one OME-TIFF"
        )
    images = []
    for image in root.findall("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is None:
            continue
        # readers make a list of that many pages before they look
        samples = math.prod(int(pixels.get(f"Size{axis}", "1")) for axis in "XYZCT")
        counts = [int(part.get("PlaneCount", "1")) for part in pixels.findall("{*}TiffData")]
        if samples > MAX_PLANES * page_pixels or any(count > MAX_PLANES for count in counts):
            raise VsfError(f"{path} declares more planes than a file can hold: it is damaged, save it anew")
        images.append(
            OmeImage(
                name=image.get("Name", ""),
                size=(int(pixels.get("SizeX", "1")), int(pixels.get("SizeY", "1"))),
                files=frozenset(_siblings(path, pixels)),
                pixels=pixels,
            )
        )
    return images


def describe_imagej(path: Path, keys: Mapping[str, Any], resolution: tuple[float, float]) -> Description:
    """Read ImageJ's description; `resolution` is pixels per unit along x and y, 0 where absent.

    Raises
    ------
    VsfError
        When pixels are not square.
    """
    unit = str(keys.get("unit", "")).strip()
    micrometres = MICROMETRES.get(unit)
    sizes = [micrometres / value if micrometres and value > 0 else None for value in resolution]
    labels = keys.get("Labels", ())
    bits = re.search(rf"^{SIGNIFICANT_BITS} *[=:] *([0-9]{{1,3}}) *$", str(keys.get("Info", "")), re.MULTILINE)
    return Description(
        names=tuple(map(str, labels)) if isinstance(labels, list | tuple) else (str(labels),),
        pixel_size_um=square_pixel(path, sizes[0], sizes[1]),
        bit_depth=int(bits[1]) if bits else None,
    )


def _siblings(path: Path, pixels: ElementTree.Element) -> Iterator[str]:
    """Name the files of the set; they lie beside `path`, whatever its metadata says."""
    for element in pixels.findall("{*}TiffData/{*}UUID"):
        name = element.get("FileName")
        if name is None:
            continue
        if not name.isprintable() or name in ("", ".", "..") or "/" in name or "\\" in name:
            raise VsfError(f"{path} names {name!r} as a file of its set, which is no file beside it: save one OME-TIFF")
        yield name


def _ome_length(path: Path, pixels: ElementTree.Element, axis: str) -> float | None:
    text = pixels.get(f"PhysicalSize{axis}")
    if text is None:
        return None
    unit = pixels.get(f"PhysicalSize{axis}Unit", "µm")
    if unit in ("pixel", "reference frame"):  # OME's words for "not calibrated"
        return None
    if unit not in MICROMETRES:
        raise VsfError(f"{path} gives its pixel size in {unit!r}: write it in µm")
    try:
        return float(text) * MICROMETRES[unit]
    except ValueError as error:
        raise VsfError(f"{path} gives its pixel size as {text!r}: write a number") from error


def square_pixel(path: Path, x: float | None, y: float | None) -> float | None:
    """Give the one side of a pixel; 0 and a missing value mean unknown."""
    if not x or not y:
        return x or y or None
    if math.isfinite(x) and math.isfinite(y) and abs(x - y) > SQUARE_WITHIN * min(abs(x), abs(y)):
        raise VsfError(
            f"{path} has pixels of {x:g} x {y:g} µm, but only square ones can be measured: "
            "correct its calibration, or resample it to square pixels"
        )
    return x
