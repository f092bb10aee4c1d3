"""How far a network sees, found out by asking it: what is not a number spreads as far as a pixel has influence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

LEAST_THICKNESS = 32
"""Pixels across the strip that a network is asked with: a kernel, or the reflection of a border, must fit in."""


def halo_of(networks: Sequence[nn.Module], in_channels: int, stride: int, most: int) -> int | None:
    """Give how many pixels around a region, a multiple of `stride`, decide what `networks` make of it.

    A block `stride` pixels wide in the middle of a strip is NaN. Every output that it has any influence on is
    NaN too, whatever the weights are: NaN times 0 is NaN. (Where a library convolves in blocks of pixels, a few outputs
    more are: the halo is never too small.) A layer that looks at the whole image, such as one that normalises by its
    statistics, makes all of it NaN.

    Parameters
    ----------
    networks
        In the form to stain with; [N, in_channels, H, W] to [N, channels, H, W].
    stride
        Height and width of their input must be multiples of this.
    most
        Give up beyond this many pixels.

    Returns
    -------
    None where a network sees farther than `most` pixels, sees all of its image, or depends on the batch.
    """
    if any(module.training for network in networks for module in network.modules()):
        return None
    around = -(-most // stride) + 1
    reach = max(_reach(network, in_channels, stride, around) for network in networks)
    return None if reach > most else -(-reach // stride) * stride


@torch.inference_mode()
def _reach(network: nn.Module, in_channels: int, stride: int, around: int) -> int:
    """Give how far outside of the block anything is NaN, with `around` blocks on each side of it, across and down."""
    device = next(network.parameters()).device
    start = around * stride
    thickness = -(-LEAST_THICKNESS // stride) * stride
    strip = torch.zeros(1, in_channels, thickness, (2 * around + 1) * stride, device=device)
    strip[..., start : start + stride] = torch.nan
    reach = 0
    for image, across in ((strip, -2), (strip.transpose(-1, -2).contiguous(), -1)):
        (places,) = torch.nonzero(network(image)[0].isnan().any(0).any(across), as_tuple=True)
        if len(places):
            reach = max(reach, start - int(places[0]), int(places[-1]) - (start + stride - 1))
    return reach
