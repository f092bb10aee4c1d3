"""What every denoiser does before and after it has found the background: check the patch, and subtract.

A stain is never below zero, but noise is on both sides of the background. Cutting the lower side off leaves light
that was never there: 0.4 of the noise's standard deviation in every pixel of the background, more than the DFI can
bear (docs/denoising.md). So the whole patch is lowered a little further, by `excess`, until its sum is what it was
before anything was cut off.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vsframework.components import Params
from vsframework.errors import VsfError
from vsframework.interfaces import BoolArray, Denoised


class SubtractionParams(Params):
    """What becomes of pixels that are darker than the background."""

    negative: Literal["balance", "clip"] = Field(
        "balance",
        description="Pixels below the background become 0; balance lowers the others so far that the sum of the patch "
        "stays what it was with them (the DFI is made of sums), clip leaves the others (the published rules).",
    )


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


def without_surface(
    stains: npt.NDArray[np.generic], surface: npt.NDArray[np.float64], mask: BoolArray, params: SubtractionParams
) -> Denoised:
    """Subtract `surface` [C, 1, 1] or [C, H, W] from `stains` [C, H, W]; its mean per channel is the background."""
    clean = np.subtract(stains, surface.astype(np.float32), dtype=np.float32)
    if params.negative == "balance":
        for channel in clean:
            channel -= np.float32(excess(channel))
    np.maximum(clean, 0, out=clean)
    return Denoised(stains=clean, background=surface.mean(axis=(1, 2)), mask=mask)


def excess(image: npt.NDArray[np.floating[Any]]) -> float:
    """Give the t >= 0 with which ``max(image - t, 0)`` has the sum of `image` [H, W]; infinity if that is not above 0.

    >>> excess(np.array([[-1.0, 1.0, 10.0]]))
    0.5
    """
    total = float(image.sum(dtype=np.float64))
    if total <= 0:
        return float("inf")
    # The sum left by t falls, and ever more slowly: Newton's steps from t = 0 never go too far, and end exactly.
    bright = image[image > 0]
    found = 0.0
    while True:
        above = float(bright.sum(dtype=np.float64)) - bright.size * found - total
        if above <= 1e-9 * total:
            return found
        found += above / bright.size
        bright = bright[bright > found]
