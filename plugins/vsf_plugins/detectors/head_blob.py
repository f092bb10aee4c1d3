"""Finds sperm heads in brightfield: dark ovals in a bright halo, with a tail at one end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from vsframework.components import Component, Params
from vsframework.errors import VsfError
from vsframework.interfaces import Detection, ImageArray


class HeadBlobParams(Params):
    """What a head looks like; the defaults are for a head of about 100 x 65 px (McCallum et al. 2019)."""

    head_length: float = Field(
        100.0,
        ge=8,
        le=4000,
        description="Length of a typical head; 0.68 to 1.4 times that is found.",
        json_schema_extra={"unit": "px"},
    )
    contrast: float = Field(
        4.0,
        ge=1,
        le=100,
        description="Least rise from a head to its halo, in multiples of the noise once a head is shrunk to 50 px.",
        json_schema_extra={"unit": "1"},
    )
    min_coverage: float = Field(
        0.6,
        ge=0.1,
        le=1,
        description="Share of a head's outline that must have that rise (the neck and touching tails have none).",
        json_schema_extra={"unit": "1"},
    )


class HeadBlob:
    """Finds the heads that the live loop finds: the detector ``heads`` of ``vsf-edge``, and so the same patches.

    How it works is told in :class:`vsf_edge.detectors.heads.Heads`, how well in docs/detection.md. A head that the
    field's border cuts, or that has no halo along `min_coverage` of its outline (heads lying on each other, dirt on
    it), is left out. The angle of a nearly round head is uncertain. The same field always gives the same cells.
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
        from vsf_edge.detectors.heads import Heads  # OpenCV is loaded only when a field is searched

        return [Detection(**vars(head)) for head in Heads(**self.params.model_dump()).detect(field)]


COMPONENT = Component(
    name="head-blob",
    build=HeadBlob,
    params=HeadBlobParams,
    summary="Finds sperm heads in brightfield by their dark inside and bright halo, and the end that the tail is on.",
)
