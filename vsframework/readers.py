"""A reader: opens a kind of file that the core does not know, without reading its pixels yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

PlaneRead: TypeAlias = Callable[[int, int, int, slice, slice], npt.NDArray[np.generic]]
"""``read(t, c, z, rows, columns)``: a part [h, w] of one plane, as stored."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredPlanes:
    """What a file holds, before anything is chosen from it.

    Attributes
    ----------
    shape
        Time points, channels, z planes, height, width: all at least 1.
    dtype
        uint8, uint16 or float32; anything else is refused by the framework, in one sentence.
    read
        Reads a part of one plane [h, w] when pixels are needed; the slices lie inside the plane and have no step. It
        may be called from several threads, and long after the file was opened.
    channels
        Names in order, or none where the file has none.
    pixel_size_um
        Side of a square pixel in µm; None where the file does not say.
    bit_depth
        Significant bits of a sample; None for all of them.
    chunk
        Height and width that are cheapest to read at once.
    """

    shape: tuple[int, int, int, int, int]
    dtype: np.dtype[Any]
    read: PlaneRead
    channels: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    bit_depth: int | None = None
    chunk: tuple[int, int] = (1024, 1024)


@runtime_checkable
class Reader(Protocol):
    """Opens a kind of image file.

    Called for files and folders that the core cannot read itself (TIFF, OME-Zarr, PNG, JPEG, NumPy): `accepts` for each
    of them, `open` for those accepted.

    Examples
    --------
    A camera's own format: the letters CAM, a width and a height as bytes, then 8-bit counts.

    >>> import numpy as np
    >>> from vsframework.interfaces import StoredPlanes
    >>> class CameraFormat:
    ...     def accepts(self, path, head):
    ...         return head.startswith(b"CAM")
    ...     def open(self, path, scene=None):
    ...         width, height = path.read_bytes()[3:5]
    ...         def read(t, c, z, rows, columns):
    ...             return np.fromfile(path, np.uint8, offset=5).reshape(height, width)[rows, columns]
    ...         return StoredPlanes(shape=(1, 1, 1, height, width), dtype=np.dtype(np.uint8), read=read)
    """

    def accepts(self, path: Path, head: bytes) -> bool:
        """Say whether this reader opens `path`, from its first 512 bytes (none for a folder). Never raises."""
        ...

    def open(self, path: Path, scene: int | None = None) -> StoredPlanes:
        """Describe what `path` holds; read no pixels, write nothing.

        Parameters
        ----------
        scene
            Which image of a file that holds several, counted from 0; None for the only one.

        Raises
        ------
        VsfError
            When the file is damaged, or holds several images and none was named; the sentence names `path`.
        """
        ...
