"""PNG and JPEG: checked for completeness before they are decoded, since decoders fill what is missing with grey."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt

from vsframework.errors import VsfError
from vsframework.images.image import dtype_bits
from vsframework.images.stored import Stored, channels_of, refuse_oversize

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"

_RESTART_OR_STUFFED = {0x00, 0x01, *range(0xD0, 0xD8)}
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive DCT: what microscopes write
_OTHER_FRAMES = set(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}


def read_png(path: Path) -> Stored:
    """Read a PNG of 1 to 16 bits per sample.

    Fewer than 8 bits are spread over 0 to 255 and a palette is applied, as the PNG specification defines them.
    """
    data = path.read_bytes()
    width, height, colour_type = _png_header(path, data)
    refuse_oversize(path, width * height * {2: 3, 3: 4, 4: 2, 6: 4}.get(colour_type, 1))
    _check_png_data(path, data)
    return _stored(path, imagecodecs.png_decode(data), (height, width))


def read_jpeg(path: Path) -> Stored:
    """Read an 8-bit JPEG, grey or colour. Its loss is done: good enough to look at a cell, not to measure a stain."""
    data = path.read_bytes()
    width, height, components = _jpeg_header(path, data)
    if components not in (1, 3):
        raise VsfError(f"{path} is a JPEG of {components} components (CMYK?): save it as grey or RGB")
    refuse_oversize(path, width * height * components)
    return _stored(path, imagecodecs.jpeg8_decode(data), (height, width))


def _stored(path: Path, decoded: npt.NDArray[np.generic], size: tuple[int, int]) -> Stored:
    if decoded.shape[:2] != size:
        raise VsfError(f"{path} is damaged: it declares {size} pixels and holds {decoded.shape[:2]}; copy it again")
    samples = decoded.reshape(*size, -1).transpose(2, 0, 1)[None]
    count = samples.shape[1]
    pixels, names = channels_of(path, samples, colour=count >= 3, alpha=count in (2, 4))
    return Stored(pixels=np.ascontiguousarray(pixels), names=names, bit_depth=dtype_bits(pixels.dtype))


def _png_header(path: Path, data: bytes) -> tuple[int, int, int]:
    """Follow the chunks to IEND and check their sums; give width, height and colour type."""
    position, header = len(PNG_SIGNATURE), None
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if header is None:
            if kind != b"IHDR" or length != 13:
                break
            header = struct.unpack_from(">IIBB", data, position + 8)
        position += 12 + length
        body = memoryview(data)[position - length - 8 : position - 4]
        if position > len(data) or zlib.crc32(body) != int.from_bytes(data[position - 4 : position], "big"):
            break  # libpng only warns of some of these, on the terminal
        if kind == b"IEND":
            width, height, _, colour_type = header
            if width and height:
                return width, height, colour_type
            break
    raise _broken(path, "PNG")


def _check_png_data(path: Path, data: bytes) -> None:
    """Hold the compressed pixels against their own sum: libpng only warns of a wrong one, and gives wrong pixels."""
    inflate, position = zlib.decompressobj(), len(PNG_SIGNATURE)
    try:
        while position < len(data):
            length, kind = struct.unpack_from(">I4s", data, position)
            if kind == b"IDAT":
                left = data[position + 8 : position + 8 + length]
                while left:  # a piece at a time: its size when inflated is not to be trusted
                    inflate.decompress(left, 2**20)
                    left = inflate.unconsumed_tail
            position += 12 + length
    except zlib.error as error:
        raise _broken(path, "PNG") from error
    if not inflate.eof or inflate.unused_data:
        raise _broken(path, "PNG")


def _jpeg_header(path: Path, data: bytes) -> tuple[int, int, int]:
    """Follow the markers to the end of the image; give width, height and number of components."""
    position, frame = 2, None
    while 0 <= (position := data.find(b"\xff", position)) < len(data) - 1:
        marker = data[position + 1]
        if marker == 0xFF:  # padding before a marker
            position += 1
        elif marker in _RESTART_OR_STUFFED:
            position += 2
        elif marker == 0xD9:
            if frame is None or 0 in frame:
                break
            height, width, components = frame
            return width, height, components
        elif position + 4 > len(data):
            break
        else:
            if marker in _OTHER_FRAMES or (marker in _FRAMES and data[position + 4 : position + 5] != b"\x08"):
                raise VsfError(f"{path} is a lossless, arithmetic or 12-bit JPEG: save it as PNG or TIFF")
            if marker in _FRAMES and position + 10 <= len(data):
                frame = struct.unpack_from(">HHB", data, position + 5)
            position += 2 + int(struct.unpack_from(">H", data, position + 2)[0])
    raise _broken(path, "JPEG")


def _broken(path: Path, kind: str) -> VsfError:
    return VsfError(f"{path} is a truncated or damaged {kind}: copy it again from where it was recorded")
