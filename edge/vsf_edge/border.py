"""How counts enter and leave a graph: as they are, or as the bytes of a camera's buffer.

``float32``: counts, [N, C, H, W]. ``uint8``: whole counts up to 255, [N, C, H, W]. ``uint16``: whole counts up to 65535
as their two bytes, the lower first, uint8 [N, C, H, W, 2]: TensorRT has no 16-bit integers, and the buffer of a 16-bit
camera on a little-endian machine is exactly that without a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.interfaces import Array

LARGEST = {"uint8": 255, "uint16": 65535}


def encode(counts: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Give `counts` [N, C, H, W], any real dtype, as a graph of input `dtype` takes them; rounded where it is whole.

    What is already of that type is not copied.
    """
    if dtype == "float32":
        return np.ascontiguousarray(counts, np.float32)
    whole = np.uint8 if dtype == "uint8" else np.dtype("<u2")
    if counts.dtype != whole:
        if not np.issubdtype(counts.dtype, np.integer):
            counts = np.rint(counts)
        counts = np.clip(counts, 0, LARGEST[dtype]).astype(whole)
    counts = np.ascontiguousarray(counts)
    return counts if dtype == "uint8" else counts.view(np.uint8).reshape(*counts.shape, 2)


def decode(stains: npt.NDArray[Any], dtype: str) -> Array:
    """Give the graph's `stains` of output `dtype` as float32 [N, S, H, W] in counts."""
    if dtype == "uint16":
        stains = np.ascontiguousarray(stains).view("<u2")[..., 0]
    return np.asarray(stains, np.float32)
