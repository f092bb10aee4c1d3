"""The detector of the live loop, for studies: what is cut out of fields here is what is cut out of frames there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from pydantic import Field

from vsframework.components import Component, Params
from vsframework.errors import VsfError
from vsframework.interfaces import Detection, ImageArray


class HeadLiveParams(Params):
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
        description="Least rise from the head to its halo, in multiples of the noise of a field shrunk to 50 px per "
        "head.",
        json_schema_extra={"unit": "1"},
    )
    min_coverage: float = Field(
        0.6,
        ge=0.1,
        le=1,
        description="Share of a head's outline that must have that rise (the neck and touching tails have none).",
        json_schema_extra={"unit": "1"},
    )


class HeadLive:
    """Finds the heads that ``vsf-edge`` finds: its detector ``heads`` (:class:`vsf_edge.detectors.heads.Heads`)."""

    def __init__(self, params: HeadLiveParams) -> None:
        self.params = params

    def detect(self, field: ImageArray) -> Sequence[Detection]:
        """Find heads in `field` [H, W], brightfield, any integer or floating dtype; best first.

        Raises
        ------
        VsfError
            When `field` is not a single plane.
        """
        if field.ndim != 2:
            raise VsfError(f"head-live needs one brightfield plane [H, W], not an array of shape {field.shape}")
        from vsf_edge.detectors.heads import Heads  # OpenCV is loaded only when a field is searched

        return [Detection(**asdict(head)) for head in Heads(**self.params.model_dump()).detect(field)]


COMPONENT = Component(
    name="head-live",
    build=HeadLive,
    params=HeadLiveParams,
    summary="Finds sperm heads within milliseconds: the detector of the live loop beside the microscope.",
)
