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
        shape = stains.shape[1:]
        border = border_of(shape, self.params.border)
        terms = _terms(shape)
        used = np.zeros(stains.shape, dtype=np.bool_)
        surface = np.empty(stains.shape)
        for channel, image in enumerate(stains):
            plane, near = self._plane(image[border].astype(np.float64), terms[border])
            surface[channel] = terms @ plane
            used[channel, border] = near
        return without_surface(stains, surface, in_common(used), self.params)

    def _plane(
        self, frame: npt.NDArray[np.float64], terms: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], BoolArray]:
        plane: npt.NDArray[np.float64] = np.zeros(terms.shape[1])
        plane[0] = np.median(frame)
        near = near_zero(frame - plane[0], self.params.reach)
        for _ in range(ROUNDS):
            plane = np.asarray(np.linalg.lstsq(terms[near], frame[near], rcond=None)[0], dtype=np.float64)
            closer = near_zero(frame - terms @ plane, self.params.reach)
            if (closer == near).all():
                break
            near = closer
        return plane, near


def _terms(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Give 1, x and y of every pixel, in [-1, 1]: [H, W, 3], or only the 1 [H, W, 1] where there is no plane."""
    height, width = shape
    ones = np.ones(shape)
    if min(shape) < 3:
        return ones[..., None]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([ones, x, y], axis=-1)


COMPONENT = Component(
    name="local-plane",
    build=LocalPlane,
    params=LocalPlaneParams,
    summary="A plane through the frame of the patch, for a background that slopes.",
)
