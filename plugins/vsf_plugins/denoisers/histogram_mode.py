"""The paper's denoiser: the most frequent values of dsDNA are noise, and their pixels tell the noise of ssDNA.

Yilmaz, Aydin & Varol, Sci. Rep. 2023, "Denoising": the noise of a dsDNA patch is the mean of the three most frequent
values of its histogram; the noise of the ssDNA patch is its mean over the pixels that hold one of those values in the
dsDNA patch. Both are subtracted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vsf_plugins.denoisers.subtraction import check_stack, without_background
from vsf_plugins.denoisers.value_histogram import value_histogram
from vsframework.components import Component, Params
from vsframework.interfaces import BoolArray, Denoised


class HistogramModeParams(Params):
    """What the paper fixes."""

    modes: int = Field(
        3,
        ge=1,
        le=64,
        description="How many of the most frequent dsDNA values are taken as noise (paper: 3).",
        json_schema_extra={"unit": "values"},
    )


class HistogramMode:
    """Subtracts the mean of the most frequent dsDNA values, and from every other stain its mean at those pixels.

    The histogram has one bin per count. Floating-point patches (warped, resampled) are rounded to the nearest count
    for the histogram and the mask only; what is subtracted from, and averaged, are the unrounded values. Of equally
    frequent values the lower one comes first. The mean of the frequent values is unweighted, as in the paper. A patch
    with fewer distinct values than `modes` uses those it has. Every channel after the first is treated as the paper
    treats ssDNA. Results below zero become zero.

    Examples
    --------
    >>> import numpy as np
    >>> dsdna = np.array([[1, 1, 1, 2], [2, 3, 3, 90]], dtype=np.uint8)
    >>> ssdna = np.array([[0, 1, 0, 1], [0, 1, 1, 30]], dtype=np.uint8)
    >>> result = HistogramMode(HistogramModeParams()).denoise(np.stack([dsdna, ssdna]))
    >>> result.background.round(3).tolist()
    [2.0, 0.571]
    >>> float(result.stains[0, 1, 3])
    88.0
    """

    def __init__(self, params: HistogramModeParams) -> None:
        self.params = params

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W], raw counts, dsDNA first; any integer or floating dtype.

        Raises
        ------
        VsfError
            When `stains` is not [C, H, W] with at least one pixel, or is not finite.
        """
        check_stack(stains, "histogram-mode")
        values, mask = frequent_values(stains[0], self.params.modes)
        background = np.empty(len(stains))
        background[0] = values.mean()
        for channel in range(1, len(stains)):
            background[channel] = _mean_at(stains[channel], mask)
        return without_background(stains, background, mask)


def frequent_values(image: npt.NDArray[np.generic], modes: int) -> tuple[npt.NDArray[np.float64], BoolArray]:
    """Find the `modes` most frequent counts of `image` [H, W], and the pixels that hold one of them.

    Returns
    -------
    values
        float64 [<= modes], counts, most frequent first; of equally frequent values the lower one comes first.
    mask
        bool [H, W].

    Raises
    ------
    VsfError
        When a floating-point `image` holds NaN or infinity.
    """
    histogram = value_histogram(image)
    remaining = histogram.frequency.copy()
    chosen: list[int] = []
    for _ in range(modes):
        mode = int(remaining.argmax())  # argmax gives the first, so the lower value of a tie
        if remaining[mode] == 0:
            break
        chosen.append(mode)
        remaining[mode] = 0
    return histogram.values[chosen].astype(np.float64), histogram.holds(chosen)


def _mean_at(image: npt.NDArray[np.generic], mask: BoolArray) -> float:
    import cv2

    # Masked copy, then a sum in float64: about a third of the time of image[mask].mean() or of cv2.mean.
    if image.dtype not in (np.uint8, np.uint16, np.int16, np.float32, np.float64):
        image = image.astype(np.float64)
    chosen = cv2.copyTo(np.ascontiguousarray(image), mask.view(np.uint8))
    return float(cv2.sumElems(chosen)[0]) / np.count_nonzero(mask)


COMPONENT = Component(
    name="histogram-mode",
    build=HistogramMode,
    params=HistogramModeParams,
    summary="The paper's rule: the three most frequent dsDNA values are noise, their pixels give the ssDNA noise.",
)
