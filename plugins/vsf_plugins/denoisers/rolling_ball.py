"""A ball that rolls under the image touches the background: what lies above it is light.

Sternberg, "Biomedical image processing", IEEE Computer 16(1), 22 (1983); scikit-image's `rolling_ball`. The patch is
averaged over blocks before, as ImageJ shrinks large images: the ball rests on the darkest pixels, so that in raw
pixels the noise would set the level.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field
from skimage.restoration import rolling_ball

from vsf_plugins.denoisers.subtraction import SubtractionParams, check_stack, without_surface
from vsf_plugins.denoisers.typical_level import in_common
from vsframework.components import Component
from vsframework.interfaces import Denoised

BLOCKS = 32
"""Blocks along the longer side of a patch: a head is still ten blocks wide, and the ball rolls in milliseconds."""


class RollingBallParams(SubtractionParams):
    """How large the ball is."""

    radius: float = Field(
        0.5,
        gt=0,
        le=4,
        description="Radius of the ball: larger than what shines, which it must not enter from below.",
        json_schema_extra={"unit": "longer side of the patch"},
    )


class RollingBall:
    """Subtracts from each channel the surface that a ball touches from below; `background` is its mean.

    Examples
    --------
    >>> import numpy as np
    >>> patch = np.full((1, 64, 64), 5.0)
    >>> patch[0, 26:38, 26:38] = 80
    >>> float(RollingBall(RollingBallParams()).denoise(patch).background[0].round(1))
    5.0
    """

    def __init__(self, params: RollingBallParams) -> None:
        self.params = params

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W], raw counts; any integer or floating dtype.

        `mask` holds the blocks of pixels that the ball touches in every channel (in the first, where it touches none
        in all).

        Raises
        ------
        VsfError
            When `stains` is not [C, H, W] with at least one pixel, or is not finite.
        """
        check_stack(stains, "rolling-ball")
        height, width = stains.shape[1:]
        block = math.ceil(max(height, width) / BLOCKS)
        small_size = (math.ceil(width / block), math.ceil(height / block))
        radius = self.params.radius * max(height, width) / block
        surface = np.empty(stains.shape)
        touching = np.zeros(stains.shape, dtype=np.bool_)
        for channel, image in enumerate(stains):
            small = cv2.resize(image.astype(np.float64), small_size, interpolation=cv2.INTER_AREA)
            # The ball's height counts in the image's own unit; scaled to its brightest block, it means the same at
            # every bit depth.
            scale = float(np.ptp(small)) / small.shape[1] or 1.0
            ball = rolling_ball(small / scale, radius=radius) * scale
            surface[channel] = cv2.resize(ball, (width, height), interpolation=cv2.INTER_LINEAR)
            touched = (small - ball <= 1e-6 * max(1.0, float(np.abs(small).max()))).astype(np.uint8)
            touching[channel] = cv2.resize(touched, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.bool_)
        return without_surface(stains, surface, in_common(touching), self.params)


COMPONENT = Component(
    name="rolling-ball",
    build=RollingBall,
    params=RollingBallParams,
    summary="A ball rolled under the image touches the background (Sternberg 1983), for one that is uneven.",
)
