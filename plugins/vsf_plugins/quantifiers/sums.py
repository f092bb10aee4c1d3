"""The precision that stains are summed with."""

from __future__ import annotations

from typing import Any

from array_api_compat import is_numpy_namespace


def sum_dtype(xp: Any, dtype: Any) -> Any:
    """Give float64 in NumPy; elsewhere `dtype`, at least float32: float64 would not run on most inference engines."""
    if is_numpy_namespace(xp):
        return xp.float64
    return dtype if dtype in (xp.float32, xp.float64) else xp.float32
