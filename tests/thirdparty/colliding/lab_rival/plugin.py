"""Another ``histogram-mode``, which only takes the minimum away."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vsframework import Component, hookimpl
from vsframework.interfaces import Denoised


class Minimum:
    """Subtracts the darkest value of each channel."""

    def __init__(self, params: object) -> None:
        pass

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the darkest value of `stains` [C, H, W]."""
        background = stains.min(axis=(1, 2)).astype(np.float64)
        clean = (stains - background[:, None, None]).astype(np.float32)
        return Denoised(stains=clean, background=background, mask=stains[0] == stains[0].min())


@hookimpl
def vsf_denoisers() -> list[Component[Any]]:
    return [Component(name="histogram-mode", build=Minimum, summary="Subtracts the darkest value.")]
