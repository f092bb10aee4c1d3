"""Read a microscope image of any common kind, or say in one sentence why not."""

from __future__ import annotations

import os
from pathlib import Path

from vsframework.errors import VsfError
from vsframework.images.image import Image, dtype_bits
from vsframework.images.raster import JPEG_SIGNATURE, PNG_SIGNATURE, read_jpeg, read_png
from vsframework.images.stored import Stored
from vsframework.images.tiff import TIFF_SIGNATURES, read_tiff


def read_image(path: str | os.PathLike[str], *, z_stack: bool = False) -> Image:
    """Read a TIFF (OME, ImageJ, Micro-Manager or plain), PNG or JPEG as [C, H, W], exactly as its samples are stored.

    - Same-shaped pages are channels, in order; smaller pages (thumbnails, pyramid levels) are ignored. A time series is
      refused, and so is a z stack unless it is asked for: one file is one field.
    - An RGB image with three equal channels is one channel; a truly coloured one gives the channels R, G, B. An alpha
      channel that is the same everywhere is dropped.
    - Channel names come from OME-XML or from ImageJ's labels where there is a different one for each channel, else
      they are C0, C1, ... The pixel size comes from OME-XML or from ImageJ's calibration, else it is None: the
      resolution tag of other programs is a screen's or a printer's.
    - The bit depth is OME's SignificantBits (or what our own ImageJ TIFF says), where the counts respect it, else the
      width of a sample.

    Nothing is rescaled, inverted, rotated or colour-corrected.

    Parameters
    ----------
    path
        The file; its kind is told from its first bytes, not from its name.
    z_stack
        Take the z planes of a TIFF as channels: the planes of one field.

    Raises
    ------
    VsfError
        When the file is missing, empty, truncated or damaged, is of another kind, dtype or shape, holds NaN, has
        pixels that are not square, or declares more than ``MAX_SAMPLES`` samples (before any of them is read).
    """
    path = Path(path)
    signature = _signature(path)
    try:
        if signature[:4] in TIFF_SIGNATURES:
            stored = read_tiff(path, z_stack)
        elif signature == PNG_SIGNATURE:
            stored = read_png(path)
        elif signature.startswith(JPEG_SIGNATURE):
            stored = read_jpeg(path)
        else:
            raise VsfError(f"{path} is not a TIFF, PNG or JPEG: convert it to OME-TIFF with the microscope's software")
    except VsfError:
        raise
    except OSError as error:
        raise VsfError(f"{path} cannot be read: {error.strerror or _one_line(error)}") from error
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise VsfError(
            f"{path} is damaged, or stored in a way that cannot be read ({_one_line(error)}): copy or save it anew"
        ) from error
    return _image(path, stored)


def _signature(path: Path) -> bytes:
    """Give the first bytes of a regular, non-empty file."""
    try:
        if not path.exists():
            raise VsfError(f"{path} does not exist: check the name and the folder")
        if not path.is_file():
            raise VsfError(f"{path} is a folder or a device, not an image file: name a file in it")
        with path.open("rb") as file:
            signature = file.read(len(PNG_SIGNATURE))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or _one_line(error)
        raise VsfError(f"{path} cannot be read: {reason}") from error
    if not signature:
        raise VsfError(f"{path} is empty (0 bytes): copy it again from where it was recorded")
    return signature


def _image(path: Path, stored: Stored) -> Image:
    pixels = stored.pixels
    names = tuple(name.strip() for name in stored.names)
    usable = len(names) == len(set(names)) == len(pixels) and all(name and name.isprintable() for name in names)
    width = dtype_bits(pixels.dtype)
    bits = stored.bit_depth
    # a declared depth that the counts exceed is wrong (a camera's 12 bits kept after frames were summed)
    if pixels.dtype.kind == "f" or not 1 <= bits <= width or (bits < width and int(pixels.max()) >= 2**bits):
        bits = width
    return Image(
        pixels=pixels,
        channels=names if usable else tuple(f"C{index}" for index in range(len(pixels))),
        pixel_size_um=stored.pixel_size_um,
        bit_depth=bits,
        path=path,
    )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
