"""The residual U-Net by name (its network is in ``unet_networks``)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vsf_plugins.generators.adversary import AdversaryParams
from vsframework import Component


class UNetParams(AdversaryParams):
    """Its size, and how it enlarges."""

    width: int = Field(
        24,
        ge=4,
        le=256,
        multiple_of=4,
        description="Filters at full resolution, doubled at every halving up to 8 times that.",
    )
    depth: int = Field(
        4,
        ge=1,
        le=8,
        description="How often the image is halved; patches must be a multiple of 2 to this power.",
        json_schema_extra={"unit": "halvings"},
    )
    blocks: int = Field(1, ge=1, le=4, description="Residual blocks of two convolutions per resolution, each way.")
    upsampling: Literal["bilinear", "pixel-shuffle"] = Field(
        "bilinear",
        description="How the decoder doubles: by interpolation, or by learned rearranging that starts as repetition. "
        "Neither leaves the checkerboard of a transposed convolution.",
    )

    @property
    def stride(self) -> int:
        """Height and width of an input must be multiples of this, in pixels."""
        return 1 << self.depth

    @property
    def widths(self) -> tuple[int, ...]:
        """Filters per level, from full resolution down."""
        return tuple(self.width * min(2**level, 8) for level in range(self.depth + 1))


COMPONENT: Component[Any] = Component(
    name="unet",
    build="vsf_plugins.generators.unet_networks:ResidualUNet",
    params=UNetParams,
    summary="A residual U-Net (group normalisation, SiLU, no checkerboard) of any depth and width.",
)
