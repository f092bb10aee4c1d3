"""Finds stained nuclei: bright blobs on a dark background, in a fluorescence field or a virtual stain of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from vsframework.components import Component, Params
from vsframework.errors import VsfError
from vsframework.interfaces import Detection, ImageArray

if TYPE_CHECKING:
    from vsf_plugins.detectors.nucleus_regions import Nucleus


class NucleiParams(Params):
    """What a nucleus looks like; the defaults are for a head of about 100 px (McCallum et al. 2019)."""

    length: float = Field(
        100.0,
        ge=8,
        le=4000,
        description="Length of a typical nucleus; half to one and a half times that is found.",
        json_schema_extra={"unit": "px"},
    )
    contrast: float = Field(
        8.0,
        ge=1,
        le=1000,
        description="Least brightness over the background, in multiples of the noise of the empty field.",
        json_schema_extra={"unit": "1"},
    )


class Nuclei:
    """Finds nuclei by their stain: what stands out of the background, is as large as a nucleus, and compact.

    1. The field is shrunk, and a wide median taken off.
    2. What is over the threshold is opened by a disc (tails go) and split where it is narrow (watershed of the distance
       to the border: touching nuclei come apart).
    3. Each piece is cut again at a fraction of its own brightness: a bright nucleus is no larger than a dim one.
    4. Middle, direction and length are those of the piece's moments; the tip is the dimmer end, where the acrosome
       covers little DNA.

    For a field of dsDNA, real or virtual, or any nuclear stain; not for brightfield, in which a head is dark. The score
    is how far the piece stands out, from 0 at the threshold to 1. A nucleus that the border cuts is left out.
    """

    def __init__(self, params: NucleiParams) -> None:
        self.params = params

    def detect(self, field: ImageArray) -> Sequence[Detection]:
        """Find nuclei in `field` [H, W], one stain, any integer or floating dtype; best first.

        Raises
        ------
        VsfError
            When `field` is not a single plane, or holds NaN or infinity.
        """
        if field.ndim != 2:
            raise VsfError(f"nuclei needs one plane [H, W] of a stain, not an array of shape {field.shape}")
        if not np.isfinite(field).all():
            raise VsfError("nuclei got a field with NaN or infinite counts; check the image")
        from vsf_plugins.detectors.nucleus_regions import find_nuclei  # OpenCV and scikit-image are loaded only here

        found = find_nuclei(field, self.params.length, self.params.contrast)
        return sorted((_detection(nucleus) for nucleus in found), key=lambda each: -each.score)


def _detection(nucleus: Nucleus) -> Detection:
    angle = nucleus.direction + (math.pi if nucleus.brighter_ahead else 0.0)
    return Detection(
        x=nucleus.x,
        y=nucleus.y,
        angle=math.pi - (math.pi - angle) % (2 * math.pi),
        length=nucleus.length,
        score=1 - 1 / nucleus.contrast,
    )


COMPONENT = Component(
    name="nuclei",
    build=Nuclei,
    params=NucleiParams,
    summary="Finds nuclei by their stain, real or virtual: bright and compact on a dark background.",
)
