"""Finds sperm heads in brightfield: dark ovals in a bright halo, with a tail at one end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from vsframework.components import Component, Params
from vsframework.errors import VsfError
from vsframework.interfaces import Detection, ImageArray


class HeadBlobParams(Params):
    """What a head looks like; the defaults are for a head of about 100 x 65 px (McCallum et al. 2019)."""

    min_length: float = Field(
        70.0, ge=8, le=4000, description="Length of the shortest head.", json_schema_extra={"unit": "px"}
    )
    max_length: float = Field(
        140.0, ge=8, le=4000, description="Length of the longest head.", json_schema_extra={"unit": "px"}
    )
    contrast: float = Field(
        4.0,
        ge=1,
        le=100,
        description="Least rise from the head to its halo, in multiples of the noise of the empty field.",
        json_schema_extra={"unit": "1"},
    )
    min_coverage: float = Field(
        0.75,
        ge=0.1,
        le=1,
        description="Share of a head's outline that must have that rise (the neck and touching tails have none).",
        json_schema_extra={"unit": "1"},
    )

    @model_validator(mode="after")
    def _lengths_in_order(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length:g} is over max_length {self.max_length:g}")
        return self


class HeadBlob:
    """Finds heads, dark and textured inside, with a bright halo around, and which end the tail is on.

    1. The field is flattened and brought to a working size (`field_relief`).
    2. Dark blobs that could be a head, or part of one, are seeds (`head_seeds`).
    3. Around each seed the ellipse is searched along which dark meets halo most strongly (`head_outline`).
    4. The tail's end is the one beyond which something goes on, and the darker one (`head_tip`).

    A loop of tail has a halo too, but nothing dark inside, and is left out.

    A head that the field's border cuts, or that has no halo along `min_coverage` of its outline (heads lying on each
    other, dirt on it), is left out. The score is the share of the outline with a halo, lowered where the halo is weak.
    The angle of a nearly round head is uncertain. The same field always gives the same cells.
    """

    def __init__(self, params: HeadBlobParams) -> None:
        self.params = params

    def detect(self, field: ImageArray) -> Sequence[Detection]:
        """Find heads in `field` [H, W], brightfield, any integer or floating dtype; best first.

        Raises
        ------
        VsfError
            When `field` is not a single plane, or holds NaN or infinity.
        """
        if field.ndim != 2:
            raise VsfError(f"head-blob needs one brightfield plane [H, W], not an array of shape {field.shape}")
        if not np.isfinite(field).all():
            raise VsfError("head-blob got a field with NaN or infinite counts; check the image")
        from vsf_plugins.detectors.head_search import find_heads  # OpenCV is loaded only when a field is searched

        return find_heads(field, self.params)


COMPONENT = Component(
    name="head-blob",
    build=HeadBlob,
    params=HeadBlobParams,
    summary="Finds sperm heads in brightfield by their dark inside and bright halo, and the end that the tail is on.",
)
