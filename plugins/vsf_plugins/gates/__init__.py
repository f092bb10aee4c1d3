"""Whether the image of a cell is good enough for a number.

The gates measure in :mod:`vsf_edge.gates`, because they must work beside the microscope too, where there is no
vsframework; here they are offered as components.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from vsframework import Component, NoParams, Params


class BlackBordersParams(Params):
    """Parameters of the gate ``black-borders``."""

    black: float = Field(
        4 / 255,
        ge=0,
        le=0.5,
        description="Pixels up to this are black (4 of 255: what JPEG makes of 0).",
        json_schema_extra={"unit": "share of full scale"},
    )
    at_most: float = Field(
        0.0002,
        ge=0,
        le=1,
        description="Largest black part of a patch, whatever the training cells look like.",
        json_schema_extra={"unit": "share of pixels"},
    )


def _gate(module: str, name: str) -> Callable[[Params], Any]:
    def build(params: Params) -> Any:
        from vsf_plugins.gates.measured import MeasuredOnTheEdge

        return MeasuredOnTheEdge(f"vsf_edge.gates.{module}", name, params.model_dump())

    return build


COMPONENTS: tuple[Component[Any], ...] = (
    Component(
        name="focus",
        build=_gate("focus", "Focus"),
        params=NoParams,
        summary="Sharpness: how wide the edges are, and how much fine detail there is.",
    ),
    Component(
        name="exposure",
        build=_gate("exposure", "Exposure"),
        params=NoParams,
        summary="Brightness, and the share of saturated pixels.",
    ),
    Component(
        name="background",
        build=_gate("background", "Background"),
        params=NoParams,
        summary="How unevenly the patch is lit.",
    ),
    Component(
        name="black-borders",
        build=_gate("black_borders", "BlackBorders"),
        params=BlackBordersParams,
        summary="Black corners: the part of a rotated crop that lies outside the field.",
    ),
    Component(
        name="head",
        build=_gate("head", "Head"),
        params=NoParams,
        summary="One whole head in the middle: outline, size, shape, truncation, overlap.",
    ),
    Component(
        name="distance",
        build=_gate("distance", "Distance"),
        params=NoParams,
        summary="Distance of plain image features to those of the training cells (Mahalanobis).",
    ),
)
