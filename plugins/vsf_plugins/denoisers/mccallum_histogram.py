"""The rule of the original acridine-orange study: the fullest histogram bin of each channel is its background.

McCallum et al., Commun. Biol. 2019: in each channel the background is the left edge of the most populated of 64
histogram bins, looking only at bins below grey level 10; it is subtracted, and what falls below zero becomes zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vsf_plugins.denoisers.subtraction import check_stack, without_background
from vsf_plugins.denoisers.value_histogram import value_histogram
from vsframework.components import Component, Params
from vsframework.errors import VsfError
from vsframework.interfaces import BoolArray, Denoised


class McCallumHistogramParams(Params):
    """The constants of the study; they are for 8-bit fields with a dark background."""

    bins: int = Field(
        64, ge=2, le=65536, description="Bins of the histogram (study: 64).", json_schema_extra={"unit": "bins"}
    )
    limit: float = Field(
        10.0,
        gt=0,
        description="Only bins whose left edge lies below this level can be background (study: 10, 8-bit fields).",
        json_schema_extra={"unit": "counts"},
    )
    ignored_share: float = Field(
        0.001,
        ge=0,
        le=0.1,
        description="Share of the darkest pixels that may lie below the first bin; 0 starts it at the darkest pixel, "
        "as in the study, where one dark pixel can move the background by a whole grey level.",
        json_schema_extra={"unit": "1"},
    )


class McCallumHistogram:
    """Subtracts from each channel the left edge of its fullest histogram bin.

    The bins span each channel of the patch from its darkest to its brightest pixel: this span, and no other that was
    tried (0 to 255, 0 to the maximum), gives the background levels behind the study's published sums. Floating-point
    patches (warped, resampled) are rounded to the nearest count for the histogram, because interpolation smears one
    grey level over several bins; what is subtracted from are the unrounded values. Of equally full bins the darker
    one is taken. `mask` holds the pixels in the background bin of at least one channel.

    Examples
    --------
    >>> import numpy as np
    >>> patch = np.array([[[1, 1, 1, 1], [1, 1, 2, 129]]], dtype=np.uint8)
    >>> result = McCallumHistogram(McCallumHistogramParams()).denoise(patch)
    >>> result.background.tolist()
    [1.0]
    >>> float(result.stains.max())
    128.0
    """

    def __init__(self, params: McCallumHistogramParams) -> None:
        self.params = params

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W], raw counts; any integer or floating dtype.

        Raises
        ------
        VsfError
            When `stains` is not [C, H, W] with at least one pixel, is not finite, or a channel has no bin below
            `limit`.
        """
        check_stack(stains, "mccallum-histogram")
        background = np.empty(len(stains))
        mask = np.zeros(stains.shape[1:], dtype=np.bool_)
        for channel, image in enumerate(stains):
            background[channel], inside = self._background(image, channel)
            mask |= inside
        return without_background(stains, background, mask)

    def _background(self, image: npt.NDArray[np.generic], channel: int) -> tuple[float, BoolArray]:
        histogram = value_histogram(image)
        values, frequency = histogram.values, histogram.frequency
        ignored = int(self.params.ignored_share * image.size)
        first = float(values[np.searchsorted(frequency.cumsum(), ignored, side="right")])
        last = float(values[-1])
        # A flat patch is all background: one bin.
        edges = np.linspace(first, last, self.params.bins + 1) if first < last else np.array([first, first + 1.0])
        allowed = int(np.searchsorted(edges[:-1], self.params.limit, side="left"))
        if allowed == 0:
            raise VsfError(
                f"mccallum-histogram found no background below {self.params.limit:g} counts in channel {channel} "
                f"(its darkest pixels hold {first:g}); raise denoiser.limit above this camera's background level"
            )
        filled, _ = np.histogram(values, bins=edges, weights=frequency)
        fullest = int(filled[:allowed].argmax())
        left, right = edges[fullest], edges[fullest + 1]
        return float(left), histogram.holds((values >= left) & ((values < right) | (right == last)))


COMPONENT = Component(
    name="mccallum-histogram",
    build=McCallumHistogram,
    params=McCallumHistogramParams,
    summary="The rule of McCallum et al. 2019: each channel's background is its fullest histogram bin.",
)
