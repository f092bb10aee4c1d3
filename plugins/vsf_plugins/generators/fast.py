"""The generator for the edge by name (its network is in ``fast_networks``)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vsf_plugins.generators.adversary import AdversaryParams
from vsframework import Component


class FastParams(AdversaryParams):
    """Its size. The defaults take 0.33 GFLOP per 256x256 patch for two stains (a multiply and an add are 2 FLOP)."""

    width: int = Field(
        24,
        ge=4,
        le=128,
        description="Filters at a quarter of the resolution; 2, 3, 4... times that at 1/8, 1/16, 1/32... A multiple of "
        "8 suits processors.",
    )
    depth: int = Field(
        5,
        ge=3,
        le=7,
        description="How often the image is halved, the first two times by rearranging pixels; patches must be a "
        "multiple of 2 to this power. 5 sees all of a head in a patch of 256 px.",
        json_schema_extra={"unit": "halvings"},
    )

    @property
    def stride(self) -> int:
        """Height and width of an input must be multiples of this, in pixels."""
        return 1 << self.depth

    @property
    def widths(self) -> tuple[int, ...]:
        """Filters per level, from a quarter of the resolution down."""
        return tuple(self.width * level for level in range(1, self.depth))


COMPONENT: Component[Any] = Component(
    name="fast",
    build="vsf_plugins.generators.fast_networks:Fast",
    params=FastParams,
    summary="Made for the edge: both stains in 0.33 GFLOP per 256x256 patch, plain convolutions when deployed.",
)
