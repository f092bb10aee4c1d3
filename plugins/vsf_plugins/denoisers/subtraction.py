"""What every denoiser does before and after it has found the background: check the patch, and subtract."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsframework.errors import VsfError
from vsframework.interfaces import BoolArray, Denoised


def check_stack(stains: npt.NDArray[np.generic], denoiser: str) -> None:
    """Raise a `VsfError` unless `stains` is [C, H, W] with at least one pixel, and finite."""
    if stains.ndim != 3 or stains.size == 0:
        raise VsfError(f"{denoiser} needs stains [C, H, W] with at least one pixel, not the shape {stains.shape}")
    if not np.issubdtype(stains.dtype, np.integer) and not np.isfinite(stains).all():
        raise VsfError("a fluorescence patch holds NaN or infinite counts; check the image it was cut from")


def without_background(
    stains: npt.NDArray[np.generic], background: npt.NDArray[np.float64], mask: BoolArray
) -> Denoised:
    """Subtract `background` [C] from `stains` [C, H, W]; what falls below zero becomes zero."""
    clean = np.subtract(stains, background.astype(np.float32)[:, None, None], dtype=np.float32)
    np.maximum(clean, 0, out=clean)
    return Denoised(stains=clean, background=background, mask=mask)
