"""The networks of pix2pix and pix2pix++ (paper, Fig. 4), as its Keras lineage builds them.

Generator: ``depth - 1`` encoder blocks halve the image, a bottleneck halves it once more, as many decoder blocks double
it again, each beside the encoder block of its size, and a last transposed convolution gives the stains.
Discriminator: strided convolutions, and one logit per receptive field. Every kernel is 4x4.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from vsf_plugins.generators.pix2pix import Pix2PixParams
from vsframework import UsageError
from vsframework.interfaces import Networks


class Pix2Pix:
    """Builds pix2pix, and pix2pix++ where the parameters ask for spectral normalisation.

    In training mode the generator is the paper's: batch statistics and dropout, at test time too. `deploy` gives the
    form to measure with.
    """

    def __init__(self, params: Pix2PixParams) -> None:
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
        if image_size % self.stride:
            fitting = (image_size & -image_size).bit_length() - 1
            raise UsageError(
                f"patches of {image_size} px do not fit a generator of depth {self.params.depth}, which needs a "
                f"multiple of {self.stride} px: set patches.size to one, or generator.depth to at most {fitting}"
            )
        if image_size < 2**self.params.discriminator_halvings:
            raise UsageError(
                f"patches of {image_size} px are too small for a discriminator that halves them "
                f"{self.params.discriminator_halvings} times: lower generator.discriminator_halvings"
            )
        generator = UNet(in_channels, out_channels, self.params)
        discriminator = PatchDiscriminator(in_channels + out_channels, self.params)
        for network in (generator, discriminator):
            initialise(network, self.params.init_std, self.params.norm_scale_std)
        if self.params.spectral_norm:
            for layer in discriminator.convolutions:
                spectral_norm(layer)
        return Networks(generator=generator, discriminator=discriminator)

    def deploy(self, generator: nn.Module) -> nn.Module:
        """Copy `generator` into the form to measure with: no dropout, no statistics of the batch.

        With ``deploy_statistics = "image"`` batch normalisation becomes instance normalisation, which is what batch
        size 1 trained; with ``"running"`` it becomes a fixed scale and offset per channel.
        """
        deployed = copy.deepcopy(generator).eval().requires_grad_(False)
        if self.params.deploy_statistics == "image":
            for module in list(deployed.modules()):
                for name, child in module.named_children():
                    if isinstance(child, nn.BatchNorm2d):
                        setattr(module, name, _per_image(child))
        return deployed


class Down(nn.Module):
    """Halve the image: convolution, normalisation, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, norm: str, params: Pix2PixParams) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = make_norm(norm, outputs, params)
        self.activation = nn.LeakyReLU(params.leak)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take [N, inputs, H, W] to [N, outputs, H/2, W/2]."""
        result: torch.Tensor = self.activation(self.norm(self.conv(x)))
        return result


class Up(nn.Module):
    """Double the image: transposed convolution, normalisation, dropout, the encoder's features beside it, ReLU."""

    def __init__(self, inputs: int, outputs: int, dropout: float, params: Pix2PixParams) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = make_norm(params.norm, outputs, params)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Take [N, inputs, H, W] to [N, outputs + skip's channels, 2H, 2W]."""
        x = self.dropout(self.norm(self.conv(x)))
        return torch.relu(torch.cat([x, skip], dim=1))


class UNet(nn.Module):
    """The generator: brightfield [N, in_channels, H, W] to stains [N, out_channels, H, W], both in [-1, 1]."""

    def __init__(self, in_channels: int, out_channels: int, params: Pix2PixParams) -> None:
        super().__init__()
        *filters, deepest = [params.width * min(2**level, 8) for level in range(params.depth)]
        self.encoder = nn.ModuleList(
            Down(inputs, outputs, params.norm if level else "none", params)
            for level, (inputs, outputs) in enumerate(zip([in_channels, *filters], filters, strict=False))
        )
        self.bottleneck = nn.Conv2d(filters[-1], deepest, 4, stride=2, padding=1)
        mirrored = filters[::-1]
        # a decoder block's input is the block before it and, but for the first, that block's skip connection
        widths = [deepest, *(2 * width for width in mirrored)]
        self.decoder = nn.ModuleList(
            Up(inputs, outputs, params.dropout if level < params.dropout_blocks else 0.0, params)
            for level, (inputs, outputs) in enumerate(zip(widths, mirrored, strict=False))
        )
        self.head = nn.ConvTranspose2d(widths[-1], out_channels, 4, stride=2, padding=1)

    def forward(self, brightfield: torch.Tensor) -> torch.Tensor:
        """Stain `brightfield`; height and width must be multiples of the stride."""
        x, skips = brightfield, []
        for down in self.encoder:
            x = down(x)
            skips.append(x)
        x = torch.relu(self.bottleneck(x))
        for up, skip in zip(self.decoder, reversed(skips), strict=True):
            x = up(x, skip)
        return torch.tanh(self.head(x))


class PatchDiscriminator(nn.Module):
    """Judges brightfield and stains [N, channels, H, W]: one logit [N, 1, h, w] per receptive field.

    The paper's sigmoid is in the loss, where it is numerically safe.
    """

    def __init__(self, channels: int, params: Pix2PixParams) -> None:
        super().__init__()
        strided = [params.width * min(2**level, 8) for level in range(params.discriminator_halvings)]
        layers: list[nn.Module] = []
        for level, (inputs, outputs) in enumerate(zip([channels, *strided], strided, strict=False)):
            layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1))
            layers.append(make_norm(params.discriminator_norm if level else "none", outputs, params))
            layers.append(_activation(params))
        # Keras pads an even kernel of stride 1 by one before and two after, which keeps the 16x16 grid
        layers += [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(strided[-1], strided[-1], 4)]
        layers += [make_norm(params.discriminator_norm, strided[-1], params), _activation(params)]
        layers += [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(strided[-1], 1, 4)]
        self.layers = nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.Identity)))

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """Every convolution, from the input to the logits."""
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]

    @property
    def receptive_field(self) -> int:
        """Side of the square that one logit sees, in pixels."""
        side = 1
        for layer in reversed(self.convolutions):
            side = (side - 1) * layer.stride[0] + layer.kernel_size[0]
        return side

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        """Judge `pair`, brightfield first."""
        logits: torch.Tensor = self.layers(pair)
        return logits


def make_norm(kind: str, channels: int, params: Pix2PixParams) -> nn.Module:
    """Give the normalisation layer `kind` ("batch", "instance" or "none") for `channels` channels."""
    if kind == "batch":
        return nn.BatchNorm2d(channels, eps=params.norm_epsilon, momentum=params.norm_momentum)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, eps=params.norm_epsilon, affine=True)
    return nn.Identity()


def initialise(network: nn.Module, std: float, norm_scale_std: float = 0.0) -> None:
    """Draw every kernel of `network` from N(0, `std`) and set its bias to 0, as the lineage does.

    The scales of normalisation are drawn from N(1, `norm_scale_std`).
    """
    for module in network.modules():
        if norm_scale_std and isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.normal_(module.weight, 1.0, norm_scale_std)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _activation(params: Pix2PixParams) -> nn.Module:
    return nn.ReLU() if params.discriminator_activation == "relu" else nn.LeakyReLU(params.leak)


def _per_image(norm: nn.BatchNorm2d) -> nn.InstanceNorm2d:
    """Give the layer that does for each image what `norm` did in training at batch size 1."""
    replacement = nn.InstanceNorm2d(norm.num_features, eps=norm.eps, affine=True).to(norm.weight.device)
    replacement.load_state_dict({"weight": norm.weight, "bias": norm.bias})
    return replacement.eval().requires_grad_(False)
