"""What the head of an image file says: its size, and the pixel size of ImageJ, of OME, or of a microscope.

It is read with tifffile, which is there with the extras ``ome``, ``serve`` and ``record``.
"""

from __future__ import annotations

import io
import math
import struct
from xml.etree import ElementTree

try:
    import tifffile
except ImportError:
    KNOWS_TIFF = False
else:
    KNOWS_TIFF = True
"""Whether the calibration of a TIFF can be read here; where it cannot, every image is of unknown pixel size."""

MICROMETRES = {"um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "micrometer": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4}
"""Of one unit, as ImageJ and OME write them."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RESOLUTION_UNIT = {3: 1e4}  # per centimetre; per inch is what programs write that know nothing
LARGEST_UM = 10.0
"""From here on a resolution per centimetre is a screen's or a printer's: 1200 dots per inch are 21 µm."""


def is_tiff(content: bytes) -> bool:
    """Say whether these are the bytes of a TIFF."""
    return content[:4] in _TIFF


def pixels_of(content: bytes) -> int:
    """Give how many pixels a plane of a PNG or TIFF has, without decoding it; 0 where that cannot be told."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return int(width) * int(height)
    if not is_tiff(content) or not KNOWS_TIFF:
        return 0
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page = file.pages.first
            return int(page.imagewidth) * int(page.imagelength)
    except Exception:  # a damaged file is told of by what decodes it
        return 0


def pixel_size_of(content: bytes) -> float | None:
    """Give micrometres per pixel of the image file with these bytes; None where it does not say.

    PNG and JPEG never say it: what they hold is a resolution for printing.
    """
    if not is_tiff(content) or not KNOWS_TIFF:
        return None
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            size = _of_ome(file.ome_metadata) if file.is_ome and file.ome_metadata else _of_resolution(file)
    except Exception:  # a damaged file is told of by what decodes its pixels
        return None
    return size if size is not None and math.isfinite(size) and size > 0 else None


def _of_ome(text: str) -> float | None:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # no OME-XML has one, and it could be made to grow
        return None
    for element in ElementTree.fromstring(text).iter():  # noqa: S314  (no entities: see above)
        if element.tag.endswith("}Pixels") and "PhysicalSizeX" in element.attrib:
            unit = MICROMETRES.get(element.attrib.get("PhysicalSizeXUnit", "µm"))
            return None if unit is None else float(element.attrib["PhysicalSizeX"]) * unit
    return None


def _of_resolution(file: tifffile.TiffFile) -> float | None:
    tags = file.pages.first.tags
    if "XResolution" not in tags:
        return None
    per, units = tags["XResolution"].value
    if not per:
        return None
    if file.is_imagej:
        name = str((file.imagej_metadata or {}).get("unit", "")).replace("\\\\u00B5", "µ").replace("\\u00B5", "µ")
        unit = MICROMETRES.get(name)
    else:
        kind = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 0
        unit = _RESOLUTION_UNIT.get(int(kind))
    if unit is None:
        return None
    size = units / per * unit
    return float(size) if file.is_imagej or size < LARGEST_UM else None
