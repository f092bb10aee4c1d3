"""The background is a slope: a plane through the frame of the patch, robust against what reaches into it.

For fields that are lit unevenly or near a bright neighbour. The plane is fitted by least squares to the pixels of the
frame around it, again and again (trimmed least squares; Rousseeuw & Leroy, Robust Regression and Outlier Detection,
Wiley 1987).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsf_plugins.denoisers.border_median import BorderMedianParams
from vsf_plugins.denoisers.subtraction import check_stack, without_surface
from vsf_plugins.denoisers.typical_level import border_of, in_common, near_zero
from vsframework.components import Component
from vsframework.interfaces import BoolArray, Denoised

ROUNDS = 6


class LocalPlaneParams(BorderMedianParams):
    """How wide the frame is, and which of its pixels count."""


class LocalPlane:
    """Subtracts from each channel a plane through its frame; `background` is the plane's mean over the patch.

    A plane that would be below zero somewhere is taken as it is. A patch with less than three rows or columns has a
    level instead of a plane.

    Examples
    --------
    >>> import numpy as np
    >>> slope = np.tile(np.arange(20.0), (1, 20, 1))
    >>> float(LocalPlane(LocalPlaneParams()).denoise(slope).stains.max().round(6))
    0.0
    """

    def __init__(self, params: LocalPlaneParams) -> None:
        self.params = params

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W], raw counts; any integer or floating dtype.

        `mask` holds the pixels that count in every channel (in the first, where they have none in common).

        Raises
        ------
        VsfError
            When `stains` is not [C, H, W] with at least one pixel, or is not finite.
        """
        check_stack(stains, "local-plane")
        border = border_of(stains.shape[1:], self.params.border)
        y, x = (np.linspace(-1, 1, side) if min(border.shape) > 2 else np.zeros(side) for side in border.shape)
        rows, columns = np.nonzero(border)
        terms = np.stack([np.ones(len(rows)), x[columns], y[rows]], axis=-1)
        used = np.zeros(stains.shape, dtype=np.bool_)
        surface = np.empty(stains.shape)
        for channel, image in enumerate(stains):
            plane, near = self._plane(image[border].astype(np.float64), terms)
            surface[channel] = plane[0] + plane[1] * x + plane[2] * y[:, None]
            used[channel, border] = near
        return without_surface(stains, surface, in_common(used), self.params)

    def _plane(
        self, frame: npt.NDArray[np.float64], terms: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], BoolArray]:
        """Fit `frame` [n] by `terms` [n, 3]: the three factors, and which pixels count."""
        plane = np.array([np.median(frame), 0.0, 0.0])
        near = near_zero(frame - plane[0], self.params.reach)
        for _ in range(ROUNDS):
            design = terms[near]
            # The normal equations: three terms that are nearly orthogonal on a frame, and lstsq for a tiny patch.
            plane = np.asarray(np.linalg.lstsq(design.T @ design, design.T @ frame[near], rcond=None)[0], np.float64)
            closer = near_zero(frame - terms @ plane, self.params.reach)
            if (closer == near).all():
                break
            near = closer
        return plane, near


COMPONENT = Component(
    name="local-plane",
    build=LocalPlane,
    params=LocalPlaneParams,
    summary="A plane through the frame of the patch, for a background that slopes.",
)
