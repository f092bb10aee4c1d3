"""A residual U-Net: what a decade of practice made of the paper's generator.

Residual blocks instead of single convolutions (He et al., ECCV 2016, with the activation first), group normalisation
instead of batch normalisation (Wu & He, ECCV 2018), so that training, measuring and exporting are one and the same
function and no cell depends on its batch; SiLU; and enlargement that leaves no checkerboard (Odena et al., Distill
2016). There is no dropout: nothing is random.
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import interpolate, pixel_shuffle, silu

from vsf_plugins.generators.adversary_networks import check_patch_size, make_discriminator
from vsf_plugins.generators.bounded import Bounded
from vsf_plugins.generators.unet import UNetParams
from vsframework.interfaces import Networks

MOST_GROUPS = 8
"""Of a group normalisation; narrow layers have fewer, so that a group holds two channels at least."""
START_GAIN = 0.1
"""Of the last convolution against the usual: the untrained generator is almost constant."""


class ResidualUNet:
    """Builds the residual U-Net. Its statistics are those of each image, in training and when deployed."""

    def __init__(self, params: UNetParams) -> None:
        self.params = params

    @property
    def stride(self) -> int:
        """Height and width of an input must be multiples of this, in pixels."""
        return self.params.stride

    def networks(self, in_channels: int, out_channels: int, image_size: int) -> Networks:
        """Build fresh networks in training mode, weights drawn from torch's random generator.

        Raises
        ------
        UsageError
            When `image_size` (the patch side in pixels) is not a multiple of `stride`, or too small to be judged.
        """
        check_patch_size(image_size, self.stride, self.params)
        return Networks(
            generator=UNetNetwork(in_channels, out_channels, self.params),
            discriminator=make_discriminator(in_channels + out_channels, self.params),
        )

    def deploy(self, generator: nn.Module) -> nn.Module:
        """Copy `generator` to measure with: the same function, since no layer depends on the batch or on chance."""
        return copy.deepcopy(generator).eval().requires_grad_(False)


class ResidualBlock(nn.Module):
    """Normalise, SiLU, convolve, twice; beside it the input itself, or a 1x1 convolution where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(_groups(inputs), inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(_groups(outputs), outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take [N, inputs, H, W] to [N, outputs, H, W]."""
        inner = self.conv1(silu(self.norm1(x)))
        result: torch.Tensor = self.shortcut(x) + self.conv2(silu(self.norm2(inner)))
        return result


class Bilinear(nn.Module):
    """Double the image by interpolation; the width is changed before, where it is four times cheaper."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take [N, inputs, H, W] to [N, outputs, 2H, 2W]."""
        return interpolate(self.conv(x), scale_factor=2.0, mode="bilinear", align_corners=False)


class PixelShuffle(nn.Module):
    """Double the image by rearranging channels; it starts as repetition (Aitken et al., 2017)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 1)
        with torch.no_grad():
            for values in (self.conv.weight, self.conv.bias):
                assert values is not None
                places = values.view(outputs, 4, -1)
                places.copy_(places[:, :1].clone().expand_as(places))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take [N, inputs, H, W] to [N, outputs, 2H, 2W]."""
        return pixel_shuffle(self.conv(x), 2)


class UNetNetwork(nn.Module):
    """Brightfield [N, in_channels, H, W] to stains [N, out_channels, H, W], both in [-1, 1]."""

    def __init__(self, in_channels: int, out_channels: int, params: UNetParams) -> None:
        super().__init__()
        widths = params.widths
        pairs = list(pairwise(widths))
        enlarge = PixelShuffle if params.upsampling == "pixel-shuffle" else Bilinear
        self.stem = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(_blocks(width, width, params.blocks) for width in widths)
        self.down = nn.ModuleList(nn.Conv2d(finer, coarser, 3, stride=2, padding=1) for finer, coarser in pairs)
        self.up = nn.ModuleList(enlarge(coarser, finer) for finer, coarser in pairs)
        self.decoder = nn.ModuleList(_blocks(2 * finer, finer, params.blocks) for finer, _ in pairs)
        self.norm = nn.GroupNorm(_groups(widths[0]), widths[0])
        self.head = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        self.bounded = Bounded()
        with torch.no_grad():
            self.head.weight.mul_(START_GAIN)
            assert self.head.bias is not None
            nn.init.constant_(self.head.bias, params.start)

    def forward(self, brightfield: torch.Tensor) -> torch.Tensor:
        """Stain `brightfield`; height and width must be multiples of the stride."""
        x = self.encoder[0](self.stem(brightfield))
        skips = []
        for down, blocks in zip(self.down, self.encoder[1:], strict=True):
            skips.append(x)
            x = blocks(down(x))
        for up, blocks, skip in zip(reversed(self.up), reversed(self.decoder), reversed(skips), strict=True):
            x = blocks(torch.cat([up(x), skip], dim=1))
        stains: torch.Tensor = self.bounded(self.head(silu(self.norm(x))))
        return stains


def _blocks(inputs: int, outputs: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(outputs if block else inputs, outputs) for block in range(count)))


def _groups(channels: int) -> int:
    """Give the number of groups for `channels`, a multiple of 4."""
    return math.gcd(MOST_GROUPS, channels // 2)
