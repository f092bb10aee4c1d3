"""A field that is opened first and read later, region by region: whole-slide fields never fit in memory at once."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vsframework.errors import UsageError, VsfError
from vsframework.images.choice import REFUSE, FieldChoice
from vsframework.images.image import DTYPES, MAX_CHANNELS, MAX_SAMPLES, Image, dtype_bits, find_channel
from vsframework.images.opening import one_sentence, open_planes
from vsframework.images.stored import refuse_oversize
from vsframework.readers import StoredPlanes


def open_field(path: str | os.PathLike[str], choice: FieldChoice = REFUSE) -> LazyField:
    """Open a field of any kind (docs/files.md), to be read region by region.

    Grey TIFFs, OME-Zarr and NumPy arrays are read where they are asked for; PNG, JPEG and TIFFs in colour are read
    whole when they are opened.

    Parameters
    ----------
    choice
        What to take of z stacks, time series and files of several images.

    Raises
    ------
    VsfError
        When the file is missing, damaged, of another kind, or holds more than `choice` says what to do with.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from vsframework.images import open_field
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/field.npy", np.zeros((2, 40, 60), np.uint16))
    ...     field = open_field(f"{folder}/field.npy")
    ...     field.shape, field.read(0, 8, 10, 20).shape
    ((2, 40, 60), (2, 8, 10))
    """
    path = Path(path)
    return LazyField(path, open_planes(path, choice.scene), choice)


class LazyField:
    """One field on disk. Make one with :func:`open_field`; nothing but its description is read until :meth:`read`.

    Attributes
    ----------
    path
        Where it lies.
    shape
        Channels, height, width. With z planes taken as channels, the planes are the channels.
    dtype
        uint8, uint16 or float32.
    channels
        Names in order.
    pixel_size_um
        Side of a square pixel in µm; None where unknown.
    bit_depth
        Significant bits as the file declares them (its counts are not looked at); 32 for float32.
    chunk
        Height and width that are cheapest to read at once, in pixels.
    """

    axes = "CYX"

    def __init__(self, path: Path, planes: StoredPlanes, choice: FieldChoice = REFUSE) -> None:
        self.path = path
        self._planes = planes
        self._selection = choice
        self._time = choice.time_point(path, planes.shape[0])
        count, depth = planes.shape[1:3]
        self._z_is_channels = choice.check_z(path, count, depth)
        count = depth if self._z_is_channels else count
        if count > MAX_CHANNELS:
            raise VsfError(f"{path} holds {count} pages of one size, too many for channels: save one file per field")
        self.shape = (count, *planes.shape[3:])
        self.dtype = planes.dtype.newbyteorder("=")
        if self.dtype not in DTYPES:
            raise VsfError(f"{path} holds {planes.dtype} samples: save it as uint8, uint16 or float32")
        self.channels = _usable_names(planes.channels, count)
        self.pixel_size_um = planes.pixel_size_um
        bits = planes.bit_depth or 0
        width = dtype_bits(self.dtype)
        self.bit_depth = bits if self.dtype.kind != "f" and 1 <= bits <= width else width
        self.chunk = planes.chunk

    def __repr__(self) -> str:
        return f"LazyField({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"

    def read(self, y0: int, y1: int, x0: int, x1: int, channel: str | None = None) -> npt.NDArray[np.generic]:
        """Read rows y0 to y1 and columns x0 to x1 (both without the end) of every channel: [C, y1 - y0, x1 - x0].

        With `channel`, only the one of this name: [1, y1 - y0, x1 - x0].

        Raises
        ------
        UsageError
            When the region is empty or lies outside the field.
        VsfError
            When the file is damaged there, or has disappeared.
        """
        _, height, width = self.shape
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise UsageError(f"{self.path} has {height} rows and {width} columns; it holds no [{y0}:{y1}, {x0}:{x1}]")
        wanted = range(self.shape[0]) if channel is None else (find_channel(self.path, self.channels, channel),)
        if len(wanted) * (y1 - y0) * (x1 - x0) > MAX_SAMPLES:
            raise VsfError(f"{self.path} has more than {MAX_SAMPLES} samples in this region: read it in smaller parts")
        rows, columns = slice(y0, y1), slice(x0, x1)
        with one_sentence(self.path):
            pixels = np.empty((len(wanted), y1 - y0, x1 - x0), self.dtype)  # one copy: a field may be half the memory
            for place, index in enumerate(wanted):
                pixels[place] = self._channel(index, rows, columns)
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise VsfError(f"{self.path} holds NaN or infinite pixels; replace them where the image was computed")
        return pixels

    def _channel(self, index: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
        if self._z_is_channels:
            return self._plane(0, index, rows, columns)
        depth = self._planes.shape[2]
        if depth == 1:
            return self._plane(index, 0, rows, columns)
        if self._selection.z == "focus":
            return self._plane(index, self.focus[index], rows, columns)
        planes = (self._plane(index, z, rows, columns) for z in range(depth))
        return self._selection.project(planes, depth)

    def _plane(self, c: int, z: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
        part = self._planes.read(self._time, c, z, rows, columns)
        if (
            part.shape != (rows.stop - rows.start, columns.stop - columns.start)
            or part.dtype.newbyteorder("=") != self.dtype
        ):
            raise VsfError(f"{self.path} holds other pixels than it describes: it is damaged, copy it again")
        return np.ascontiguousarray(part, dtype=self.dtype)

    @cached_property
    def focus(self) -> tuple[int, ...]:
        """The sharpest z plane of every channel: of the largest mean squared Laplacian per mean squared brightness.

        Looked for in bands, so that memory stays that of a few rows of one plane.
        """
        count, depth, height, width = *self._planes.shape[1:3], *self._planes.shape[3:]
        band = max(3, min(height, MAX_SAMPLES // 64 // width))
        best = []
        for c in range(count):
            sharpness = []
            for z in range(depth):
                edges = light = 0.0
                for start in range(0, height, band):
                    rows = slice(start, min(start + band, height))
                    part = self._plane(c, z, rows, slice(0, width)).astype(np.float32)
                    edges += float(np.square(cv2.Laplacian(part, cv2.CV_32F), dtype=np.float64).sum())
                    light += float(np.square(part, dtype=np.float64).sum())
                sharpness.append(edges / light if light else 0.0)
            best.append(int(np.argmax(sharpness)))
        return tuple(best)

    def image(self, channel: str | None = None, columns: slice | None = None) -> Image:
        """Read the whole field, or only the channel of this name, or only these columns of it.

        Raises
        ------
        VsfError
            When it is damaged, or too large to be held at once.
        """
        channels = self.channels if channel is None else (channel,)
        refuse_oversize(self.path, len(channels) * self.shape[1] * self.shape[2])
        columns = columns or slice(0, self.shape[2])
        pixels = self.read(0, self.shape[1], columns.start, columns.stop, channel)
        bits, width = self.bit_depth, dtype_bits(self.dtype)
        # a declared depth that the counts exceed is wrong (a camera's 12 bits kept after frames were summed)
        if bits < width and int(pixels.max()) >= 2**bits:
            bits = width
        return Image(pixels=pixels, channels=channels, pixel_size_um=self.pixel_size_um, bit_depth=bits, path=self.path)


def _usable_names(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Give the file's names where there is a different, printable one for each channel, else C0, C1, ..."""
    names = tuple(name.strip() for name in names)
    usable = len(names) == len(set(names)) == count and all(name and name.isprintable() for name in names)
    return names if usable else tuple(f"C{index}" for index in range(count))
