"""The paper's generators by name: pix2pix and pix2pix++ (their networks are in ``pix2pix_networks``)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vsframework import Component, Params


class Pix2PixParams(Params):
    """What the paper fixes, and every point that it leaves open with the default of its lineage.

    "Lineage" is the Keras pix2pix tutorial whose filters match the paper's exactly. The defaults give the paper's
    networks: 54.4 million generator and 7.0 million discriminator parameters at one channel in and out.
    """

    width: int = Field(
        64,
        ge=4,
        le=256,
        description="Filters of the first block of generator and discriminator, up to 8 times that in the deeper ones "
        "(paper: 64 to 512).",
    )
    depth: int = Field(
        8,
        ge=2,
        le=10,
        description="How often the generator halves the image, bottleneck included (paper: 7 encoder blocks and the "
        "bottleneck); patches must be a multiple of 2 to this power.",
        json_schema_extra={"unit": "halvings"},
    )
    norm: Literal["batch", "instance", "none"] = Field(
        "batch", description="Normalisation in the generator (not in the paper; batch normalisation in its lineage)."
    )
    norm_epsilon: float = Field(
        1e-3, gt=0, le=0.1, description="Added to the variance in every normalisation (not in the paper; its lineage)."
    )
    norm_momentum: float = Field(
        0.01,
        gt=0,
        le=1,
        description="Weight of the newest batch in the running statistics (not in the paper; its lineage).",
    )
    dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share of activations dropped in the first decoder blocks (not in the paper; its lineage).",
    )
    dropout_blocks: int = Field(
        3, ge=0, le=9, description="How many decoder blocks, from the bottleneck on, drop out (its lineage: 3)."
    )
    leak: float = Field(
        0.2, ge=0, lt=1, description="Slope of LeakyReLU below zero (paper: LeakyReLU; its lineage: 0.2)."
    )
    init_std: float = Field(
        0.02,
        gt=0,
        le=1,
        description="Standard deviation of the normal distribution of initial weights (not in the paper; its lineage).",
    )
    norm_scale_std: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Standard deviation of the initial scales of normalisation about 1 (not in the paper; 0 in its "
        "lineage, 0.02 in junyanz's code).",
    )
    deploy_statistics: Literal["image", "running"] = Field(
        "image",
        description="What batch normalisation uses when measuring and exporting after training in the paper's mode: "
        "the statistics of each image (what batch size 1 trained; a cell then depends on what else is in its tile), or "
        "those gathered in training (independent of the tile, and free once exported, but useless after training at "
        "batch size 1: use it from batch size 4 on). With training.mode = deploy it has no effect.",
    )
    discriminator_halvings: int = Field(
        4,
        ge=1,
        le=6,
        description="Strided convolutions of the discriminator (paper's filters: 4); 4 gives one logit per receptive "
        "field of 142 px, 3 of 70 px.",
        json_schema_extra={"unit": "halvings"},
    )
    discriminator_activation: Literal["leaky-relu", "relu"] = Field(
        "leaky-relu", description="Between the discriminator's layers (paper: ReLU; its lineage: LeakyReLU)."
    )
    discriminator_norm: Literal["batch", "instance", "none"] = Field(
        "batch", description="Normalisation in the discriminator (not in the paper; its lineage)."
    )

    @property
    def stride(self) -> int:
        """Height and width of an input must be multiples of this, in pixels."""
        return 1 << self.depth

    @property
    def spectral_norm(self) -> bool:
        """Whether every convolution of the discriminator is divided by its largest singular value."""
        return False


class Pix2PixPlusPlusParams(Pix2PixParams):
    """pix2pix with spectral normalisation on every convolution of the discriminator."""

    discriminator_norm: Literal["batch", "instance", "none"] = Field(
        "none",
        description="Normalisation in the discriminator beside the spectral one (not in the paper; none, because batch "
        "normalisation after it undoes the Lipschitz bound that it is there for).",
    )

    @property
    def spectral_norm(self) -> bool:
        """Always."""
        return True


BUILD = "vsf_plugins.generators.pix2pix_networks:Pix2Pix"

PIX2PIX: Component[Any] = Component(
    name="pix2pix",
    build=BUILD,
    params=Pix2PixParams,
    summary="The paper's U-Net with a patch discriminator.",
)

PIX2PIX_PLUS_PLUS: Component[Any] = Component(
    name="pix2pix++",
    build=BUILD,
    params=Pix2PixPlusPlusParams,
    summary="The paper's U-Net with a spectrally normalised patch discriminator.",
)
