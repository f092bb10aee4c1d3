"""What the generators of our own share: the check of the patch size, and the discriminator."""

from __future__ import annotations

from torch.nn.utils.parametrizations import spectral_norm

from vsf_plugins.generators.adversary import AdversaryParams
from vsf_plugins.generators.pix2pix_networks import PatchDiscriminator, initialise
from vsframework import UsageError


def check_patch_size(image_size: int, stride: int, params: AdversaryParams) -> None:
    """Make sure that patches of `image_size` pixels fit generator and discriminator.

    Raises
    ------
    UsageError
        When `image_size` is not a multiple of `stride`, or too small to be judged.
    """
    if image_size % stride:
        raise UsageError(
            f"patches of {image_size} px do not fit this generator, which needs a multiple of {stride} px: set "
            "patches.size to one, or lower generator.depth (each step halves the multiple)"
        )
    if params.discriminator == "patch" and image_size < 2**params.discriminator_halvings:
        raise UsageError(
            f"patches of {image_size} px are too small for a discriminator that halves them "
            f"{params.discriminator_halvings} times: lower generator.discriminator_halvings"
        )


def make_discriminator(channels: int, params: AdversaryParams) -> PatchDiscriminator | None:
    """Build the discriminator of pairs with `channels` channels, initialised; None where `params` ask for none."""
    if params.discriminator == "none":
        return None
    discriminator = PatchDiscriminator(channels, params.judged_by)
    initialise(discriminator, params.judged_by.init_std)
    for layer in discriminator.convolutions:
        spectral_norm(layer)
    return discriminator
