"""The parameters that every generator of our own shares: how stains start, and the discriminator that judges them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vsf_plugins.generators.pix2pix import Pix2PixPlusPlusParams
from vsframework import Params


class AdversaryParams(Params):
    """Where training starts, and which discriminator gives the adversarial term."""

    start: float = Field(
        -0.9,
        ge=-1,
        le=1,
        description="What the untrained generator gives everywhere: -1 is no stain, +1 full scale. Dark, because most "
        "of a patch is.",
    )
    discriminator: Literal["patch", "none"] = Field(
        "patch",
        description="The paper's patch discriminator, spectrally normalised as in pix2pix++; or none: regression.",
    )
    discriminator_width: int = Field(
        32,
        ge=4,
        le=256,
        description="Filters of the discriminator's first block, up to 8 times that in the deeper ones.",
    )
    discriminator_halvings: int = Field(
        3,
        ge=1,
        le=6,
        description="Strided convolutions of the discriminator; 4 gives one logit per receptive field of 142 px, 3 of "
        "70 px.",
        json_schema_extra={"unit": "halvings"},
    )

    @property
    def judged_by(self) -> Pix2PixPlusPlusParams:
        """The discriminator's parameters as pix2pix++ names them."""
        return Pix2PixPlusPlusParams(width=self.discriminator_width, discriminator_halvings=self.discriminator_halvings)
