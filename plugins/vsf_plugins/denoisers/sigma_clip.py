"""What lies far from the median is light, the rest is background: the astronomers' clipped mean.

Da Costa, "Basic photometry techniques", ASP Conf. Ser. 23, 90 (1992); Bertin & Arnouts (SExtractor), A&AS 117, 393
(1996), who also clip around the median. No place of the patch is preferred, so it needs no cell in the middle, but a
cell's glare and tail count as background where they are as faint as the noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vsf_plugins.denoisers.subtraction import SubtractionParams, check_stack, without_surface
from vsf_plugins.denoisers.typical_level import ONE_LEVEL, in_common
from vsframework.components import Component
from vsframework.interfaces import BoolArray, Denoised

MOST_ROUNDS = 100
"""Every round but the last removes a pixel; real patches need about ten."""


class SigmaClipParams(SubtractionParams):
    """How far from the median is too far."""

    sigma: float = Field(
        2.0,
        ge=1,
        le=10,
        description="Pixels farther from the median than this are left out, again and again until none is; at 3 a head "
        "is not left out, because it is too large a part of the patch.",
        json_schema_extra={"unit": "standard deviations"},
    )


class SigmaClip:
    """Subtracts from each channel the mean of what is left after clipping.

    Examples
    --------
    >>> import numpy as np
    >>> patch = np.full((1, 8, 8), 3.0)
    >>> patch[0, ::4] = 4
    >>> patch[0, 3, 3] = 200
    >>> SigmaClip(SigmaClipParams()).denoise(patch).background.round(3).tolist()
    [3.254]
    """

    def __init__(self, params: SigmaClipParams) -> None:
        self.params = params

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W], raw counts; any integer or floating dtype.

        `mask` holds the pixels that are left in every channel (in the first, where they have none in common).

        Raises
        ------
        VsfError
            When `stains` is not [C, H, W] with at least one pixel, or is not finite.
        """
        check_stack(stains, "sigma-clip")
        kept = np.stack([self._kept(image) for image in stains])
        levels = np.array([image[inside].mean(dtype=np.float64) for image, inside in zip(stains, kept, strict=True)])
        return without_surface(stains, levels[:, None, None], in_common(kept), self.params)

    def _kept(self, image: npt.NDArray[Any]) -> BoolArray:
        left = np.sort(image, axis=None)  # what is clipped lies at its ends; integers sort fast
        low, high = float(left[0]), float(left[-1])
        for _ in range(MOST_ROUNDS):
            centre = 0.5 * (float(left[(len(left) - 1) // 2]) + float(left[len(left) // 2]))
            reach = max(ONE_LEVEL, self.params.sigma * float(left.std(dtype=np.float64)))
            low, high = centre - reach, centre + reach
            first, last = np.searchsorted(left, low, "left"), np.searchsorted(left, high, "right")
            if last - first == len(left):
                break
            left = left[first:last]
        inside: BoolArray = (image >= low) & (image <= high)
        return inside


COMPONENT = Component(
    name="sigma-clip",
    build=SigmaClip,
    params=SigmaClipParams,
    summary="What is far from the median is light, again and again; the mean of the rest is background.",
)
