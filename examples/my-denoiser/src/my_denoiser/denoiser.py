"""Takes the border of a patch for background: the cell is in the middle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from vsframework.interfaces import Denoised

from my_denoiser.plugin import MyDenoiserParams


class MyDenoiser:
    """Subtracts the median of the border, channel by channel."""

    def __init__(self, params: MyDenoiserParams) -> None:
        self.width = params.width

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W], raw counts of any dtype."""
        border = np.ones(stains.shape[1:], dtype=np.bool_)
        border[self.width : -self.width, self.width : -self.width] = False
        counts = stains.astype(np.float64)  # a copy: the input stays as it is
        background = np.median(counts[:, border], axis=1)
        clean = np.maximum(counts - background[:, None, None], 0)
        return Denoised(stains=clean.astype(np.float32), background=background, mask=border)
