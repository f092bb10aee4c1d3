"""NumPy arrays on disk (``.npy``), never unpickled."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from vsframework.errors import VsfError
from vsframework.readers import StoredPlanes

NUMPY_SIGNATURE = b"\x93NUMPY"


def open_numpy(path: Path) -> StoredPlanes:
    """Open an array [H, W] or [C, H, W]; it says nothing about names, pixel size or significant bits.

    Raises
    ------
    VsfError
        When the file is cut, its array has other dimensions, or is stored in Fortran order.
    """
    with path.open("rb") as file:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(file)
        else:
            raise VsfError(f"{path} is a NumPy file of version {version[0]}.{version[1]}: save it with numpy.save")
        start = file.tell()
    if dtype.hasobject:
        raise VsfError(f"{path} holds Python objects, which are never loaded: save a plain array of counts")
    if len(shape) not in (2, 3) or 0 in shape or fortran:
        order = " in Fortran order" if fortran else ""
        raise VsfError(
            f"{path} holds an array of shape {shape}{order}: save [height, width] or [channels, height, width]"
        )
    channels, height, width = shape if len(shape) == 3 else (1, *shape)
    if path.stat().st_size < start + math.prod(shape) * dtype.itemsize:
        raise VsfError(f"{path} is a truncated NumPy file: copy it again from where it was written")

    def read(t: int, c: int, z: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
        offset = start + (c * height + rows.start) * width * dtype.itemsize
        count = (rows.stop - rows.start) * width
        return np.fromfile(path, dtype, count=count, offset=offset).reshape(-1, width)[:, columns]

    return StoredPlanes(shape=(1, channels, 1, height, width), dtype=dtype, read=read)
