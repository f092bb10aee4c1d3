"""A network for real time: it never works at more than a quarter of the resolution.

Space-to-depth takes 4x4 pixels to one place (as real-time super-resolution does at its output: Shi et al., CVPR 2016),
a small encoder and decoder with additive skip connections sees the whole patch at 1/32, and depth-to-space gives the
stains. No layer normalises activations. What keeps the training stable instead is scaled weight standardisation (Brock
et al., ICLR 2021): it works on kernels, so `deploy` folds it, and what is left is convolution, LeakyReLU, addition,
nearest-neighbour enlargement and a clamp.
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, pixel_shuffle, pixel_unshuffle

from vsf_plugins.generators.adversary_networks import check_patch_size, make_discriminator
from vsf_plugins.generators.bounded import Bounded
from vsf_plugins.generators.fast import FastParams
from vsframework.interfaces import Networks

FOLD = 4
"""Pixels along a side that become one place."""
LEAK = 0.1
AFTER_LEAKY_RELU = 1 / math.sqrt((1 + LEAK**2) / 2 - (1 - LEAK) ** 2 / (2 * math.pi))
"""Gain that keeps a variance of 1 from one convolution to the next, with LeakyReLU between them."""
START_GAIN = 0.1
"""Of the last convolution: the untrained generator is almost constant."""


class Fast:
    """Builds the generator for the edge: a few plain convolutions at a quarter of the resolution and below."""

    def __init__(self, params: FastParams) -> None:
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
            generator=FastNetwork(in_channels, out_channels, self.params),
            discriminator=make_discriminator(in_channels + out_channels, self.params),
        )

    def deploy(self, generator: nn.Module) -> nn.Module:
        """Copy `generator` with every standardised kernel folded into a plain convolution: the same stains, sooner."""
        deployed = copy.deepcopy(generator)
        for module in list(deployed.modules()):
            for name, child in module.named_children():
                if isinstance(child, StandardisedConv2d):
                    setattr(module, name, child.folded())
        return deployed.eval().requires_grad_(False)


class StandardisedConv2d(nn.Conv2d):
    """A convolution of kernels with mean 0 and a learned norm per filter (scaled weight standardisation).

    The output has a variance of ``(scale * gain) ** 2`` for an input of variance 1; `scale` is fixed, `gain` is learned
    from 1 on.
    """

    def __init__(self, inputs: int, outputs: int, side: int, *, stride: int = 1, scale: float = 1.0) -> None:
        super().__init__(inputs, outputs, side, stride=stride, padding=side // 2)
        self.gain = nn.Parameter(torch.ones(outputs, 1, 1, 1))
        self.scale = scale / math.sqrt(inputs * side**2)
        nn.init.normal_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def kernel(self) -> torch.Tensor:
        """Give the kernels that are convolved with, [outputs, inputs, side, side]."""
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        variance = self.weight.var((1, 2, 3), keepdim=True, correction=0)
        return (self.weight - mean) * torch.rsqrt(variance + 1e-6) * (self.gain * self.scale)

    def folded(self) -> nn.Conv2d:
        """Give the plain convolution that does the same."""
        inputs, outputs, side = self.in_channels, self.out_channels, self.kernel_size[0]
        plain = nn.Conv2d(inputs, outputs, side, stride=self.stride[0], padding=side // 2).to(self.weight)
        assert self.bias is not None
        plain.load_state_dict({"weight": self.kernel().detach(), "bias": self.bias.detach()})
        return plain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        return conv2d(x, self.kernel(), self.bias, self.stride, self.padding)


class Convolution(nn.Module):
    """A 3x3 convolution and LeakyReLU; `sources` is how many equal parts were added up to give its input."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, sources: int = 1) -> None:
        super().__init__()
        scale = AFTER_LEAKY_RELU / math.sqrt(sources)
        self.conv = StandardisedConv2d(inputs, outputs, 3, stride=stride, scale=scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        return leaky_relu(self.conv(x), LEAK)


class FastNetwork(nn.Module):
    """Brightfield [N, in_channels, H, W] to stains [N, out_channels, H, W], both in [-1, 1]."""

    def __init__(self, in_channels: int, out_channels: int, params: FastParams) -> None:
        super().__init__()
        widths = params.widths
        pairs = list(pairwise(widths))
        self.stem = Convolution(in_channels * FOLD**2, widths[0])
        self.encoder = nn.ModuleList(
            nn.Sequential(Convolution(finer, coarser, stride=2), Convolution(coarser, coarser))
            for finer, coarser in pairs
        )
        # cheap there, and it is what sees most
        self.context = Convolution(widths[-1], widths[-1])
        self.lateral = nn.ModuleList(StandardisedConv2d(coarser, finer, 1) for finer, coarser in pairs)
        self.decoder = nn.ModuleList(Convolution(finer, finer, sources=2) for finer, _ in pairs)
        self.head = StandardisedConv2d(widths[0], out_channels * FOLD**2, 3)
        self.bounded = Bounded()
        self._start_smooth_and_at(params.start)

    def forward(self, brightfield: torch.Tensor) -> torch.Tensor:
        """Stain `brightfield`; height and width must be multiples of the stride."""
        x = self.stem(pixel_unshuffle(brightfield, FOLD))
        skips = []
        for down in self.encoder:
            skips.append(x)
            x = down(x)
        x = self.context(x)
        for lateral, block, skip in zip(reversed(self.lateral), reversed(self.decoder), reversed(skips), strict=True):
            x = block(interpolate(lateral(x), scale_factor=2.0, mode="nearest") + skip)
        stains: torch.Tensor = self.bounded(pixel_shuffle(self.head(x), FOLD))
        return stains

    @torch.no_grad()
    def _start_smooth_and_at(self, start: float) -> None:
        """Let the rearranged pixels start as a bilinear enlargement: no checkerboard and no blocks of 4x4 pixels."""
        kernels = self.head.weight.view(-1, FOLD**2, *self.head.weight.shape[1:])
        places = bilinear_places()
        colours = torch.randn(len(kernels), 1, kernels.shape[2], 1, 1)
        colours -= colours.mean(2, keepdim=True)  # the kernels stay what they are when standardised
        kernels.copy_(colours * places[None, :, None])
        norms = places.flatten(1).norm(dim=1)
        self.head.gain.copy_((START_GAIN * norms).repeat(len(kernels)).view_as(self.head.gain))
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, start)


def bilinear_places() -> torch.Tensor:
    """Give the kernel [FOLD ** 2, 3, 3] with which each pixel of a place interpolates the 3x3 places around."""
    centres = (torch.arange(FOLD) + 0.5) / FOLD - 0.5  # from the middle of the place, in places
    neighbours = torch.tensor([-1.0, 0.0, 1.0])
    line = (1 - (centres[:, None] - neighbours).abs()).clamp_min(0)
    return torch.einsum("iy,jx->ijyx", line, line).flatten(0, 1)
