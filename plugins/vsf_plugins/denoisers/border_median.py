"""The frame of a patch is background: the cell lies in the middle.

Aperture photometry measures the sky in a ring around a star in the same way (Stetson, PASP 99, 191, 1987). The median
of the frame is robust against a neighbour that reaches into it, but it is a whole grey level on an integer camera; the
mean of the frame's pixels around the median is not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vsf_plugins.denoisers.subtraction import SubtractionParams, check_stack, without_surface
from vsf_plugins.denoisers.typical_level import border_of, in_common, near_zero
from vsframework.components import Component
from vsframework.interfaces import Denoised


class BorderMedianParams(SubtractionParams):
    """How wide the frame is, and which of its pixels count."""

    border: float = Field(
        0.08,
        gt=0,
        le=0.5,
        description="Width of the frame; at least one pixel.",
        json_schema_extra={"unit": "side of the patch"},
    )
    reach: float = Field(
        2.0,
        ge=0,
        le=10,
        description="Pixels of the frame farther from its median than this are light of something; at least one grey "
        "level counts as near.",
        json_schema_extra={"unit": "standard deviations"},
    )


class BorderMedian:
    """Subtracts from each channel the mean of those pixels of its frame that lie around the frame's median.

    Examples
    --------
    >>> import numpy as np
    >>> patch = np.tile(np.array([1, 1, 2, 1], dtype=np.uint8), (1, 4, 1))
    >>> patch[0, 1:3, 1:3] = 90
    >>> result = BorderMedian(BorderMedianParams()).denoise(patch)
    >>> result.background.round(3).tolist()
    [1.167]
    """

    def __init__(self, params: BorderMedianParams) -> None:
        self.params = params

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W], raw counts; any integer or floating dtype.

        `mask` holds the pixels that count in every channel (in the first, where they have none in common).

        Raises
        ------
        VsfError
            When `stains` is not [C, H, W] with at least one pixel, or is not finite.
        """
        check_stack(stains, "border-median")
        border = border_of(stains.shape[1:], self.params.border)
        levels = np.empty(len(stains))
        used = np.zeros(stains.shape, dtype=np.bool_)
        for channel, image in enumerate(stains):
            frame = image[border].astype(np.float64)
            near = near_zero(frame - np.median(frame), self.params.reach)
            levels[channel] = frame[near].mean()
            used[channel, border] = near
        return without_surface(stains, levels[:, None, None], in_common(used), self.params)


COMPONENT = Component(
    name="border-median",
    build=BorderMedian,
    params=BorderMedianParams,
    summary="The frame of the patch is background: its median, refined to a fraction of a grey level.",
)
