"""The border of a patch as its background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lab_border.plugin import BorderParams
from vsframework.interfaces import Denoised


class Border:
    """Subtracts the mean of the border from each channel."""

    def __init__(self, params: BorderParams) -> None:
        self.width = params.width

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W]."""
        mask = np.ones(stains.shape[1:], dtype=np.bool_)
        mask[self.width : -self.width, self.width : -self.width] = False
        background = stains[:, mask].mean(axis=1, dtype=np.float64)
        clean = np.maximum(stains - background[:, None, None], 0).astype(np.float32)
        return Denoised(stains=clean, background=background, mask=mask)
