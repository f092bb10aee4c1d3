"""No denoising: for stains whose background is already gone, and as the yardstick that a denoiser is held against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsf_plugins.denoisers.subtraction import check_stack, without_background
from vsframework.components import Component, NoParams
from vsframework.interfaces import Denoised


class NoDenoising:
    """Gives the stains as they are; only what lies below zero becomes zero.

    Attributes
    ----------
    passes_through
        Says so to the contract of the denoisers, which then holds it to change nothing.

    Examples
    --------
    >>> import numpy as np
    >>> result = NoDenoising(NoParams()).denoise(np.array([[[3, 250]]], dtype=np.uint8))
    >>> result.stains.tolist(), result.background.tolist(), bool(result.mask.any())
    ([[[3.0, 250.0]]], [0.0], False)
    """

    passes_through = True

    def __init__(self, params: NoParams) -> None:
        self.params = params

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Give `stains` [C, H, W], counts, as float32; `background` is 0 and `mask` empty.

        Raises
        ------
        VsfError
            When `stains` is not [C, H, W] with at least one pixel, or is not finite.
        """
        check_stack(stains, "none")
        return without_background(stains, np.zeros(len(stains)), np.zeros(stains.shape[1:], dtype=np.bool_))


COMPONENT = Component(
    name="none",
    build=NoDenoising,
    params=NoParams,
    summary="Leaves the stains as they are, for images without background.",
)
