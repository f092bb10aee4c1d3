"""``chain``: a coarse registrar, then a fine one within a few pixels of where the first one pointed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from vsf_plugins.registrars.acceptance import corners, transform
from vsf_plugins.registrars.intensities import as_float
from vsf_plugins.registrars.outlines import Pixels
from vsframework import Component, Params
from vsframework.interfaces import ImageArray, Registrar, Registration
from vsframework.plugins import registry

_MODELS = ("translation", "rigid", "similarity", "affine", "homography")
"""From the stiffest to the most bendable: two matrices in a row are as bendable as the more bendable one."""


class ChainParams(Params):
    """What ``chain`` can be told. More than two stages: make one of them a ``chain``."""

    coarse: str = Field("sift-ransac", description="The registrar that finds the place.")
    coarse_params: dict[str, Any] = Field({}, description="Its parameters.")
    fine: str = Field("ecc", description="The registrar that refines it, e.g. mutual-information.")
    fine_params: dict[str, Any] = Field({}, description="Its parameters.")
    max_move: float = Field(
        5.0,
        gt=0,
        le=500,
        description="How far the fine stage may move a corner of the moving image.",
        json_schema_extra={"unit": "px of the moving image"},
    )


@dataclass(frozen=True, eq=False)
class PreparedChain:
    """A fixed image [H, W], and what the coarse registrar made of it."""

    pixels: Pixels
    coarse: Any


class Chain:
    """Finds the place with one registrar and refines it with another; both must accept.

    The fine registrar sees the moving image and, in its frame, what the coarse one found in the fixed image: for it
    the two begin at the same corner. So the coarse stage may turn and scale at will (features of one modality), and
    the fine stage may be one of those that only look a few pixels around.

    Raises
    ------
    UsageError
        When a stage is not the name of a registrar, or a parameter of it is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from vsf_plugins.registrars.chain import Chain, ChainParams
    >>> Chain(ChainParams()).register(np.zeros((64, 64)), np.ones((64, 64))).reason
    'sift-ransac: the moving image is constant'
    """

    def __init__(self, params: ChainParams) -> None:
        self.params = params
        self._coarse: Registrar = registry().create("registrar", params.coarse, params.coarse_params)
        self._fine: Registrar = registry().create("registrar", params.fine, params.fine_params)

    def prepare(self, fixed: ImageArray) -> PreparedChain:
        """Describe `fixed` [H, W] once for many calls of the coarse stage."""
        return PreparedChain(as_float(fixed), self._coarse.prepare(fixed))

    def register(self, moving: ImageArray, fixed: ImageArray | PreparedChain) -> Registration:
        """Find `moving` [h, w] in `fixed` ([H, W], or what `prepare` gave); never raises for unmatched images."""
        field = fixed if isinstance(fixed, PreparedChain) else self.prepare(fixed)
        first = self._coarse.register(moving, field.coarse)
        if not first.accepted:
            return _told(first, first, self.params.coarse, accepted=False)
        seen = cv2.warpPerspective(
            field.pixels,
            first.matrix,
            (moving.shape[1], moving.shape[0]),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        second = self._fine.register(moving, np.asarray(seen, dtype=np.float32))
        if not second.accepted:
            return _told(first, second, self.params.fine, accepted=False)
        outline = corners((moving.shape[0], moving.shape[1]))
        move = float(np.linalg.norm(transform(second.matrix, outline) - outline, axis=1).max())
        if not move <= self.params.max_move:
            reason = f"it would move a corner by {move:.1f} px ({self.params.max_move:g} px allowed)"
            return _told(first, second, self.params.fine, accepted=False, reason=reason)
        return _told(first, second, f"{self.params.coarse}: {first.reason}; {self.params.fine}", accepted=True)


def _told(
    first: Registration, second: Registration, stage: str, *, accepted: bool, reason: str | None = None
) -> Registration:
    matrix = first.matrix if first is second else first.matrix @ second.matrix
    if np.isfinite(matrix).all() and matrix[2, 2]:
        matrix = matrix / matrix[2, 2]
    return Registration(
        matrix=matrix,
        model=max(first.model, second.model, key=_MODELS.index),
        matches=first.matches,
        inliers=first.inliers,
        residual_px=first.residual_px,
        similarity=second.similarity,
        pairs=first.pairs,
        accepted=accepted,
        reason=f"{stage}: {reason or second.reason}",
    )


COMPONENT = Component(
    name="chain",
    build=Chain,
    params=ChainParams,
    summary="Two registrars in a row: a coarse one finds the place, a fine one refines it within a few pixels.",
)
