"""Two convolutions: nothing in it knows of vsframework's exporter."""

from __future__ import annotations

import copy

from torch import nn

from vsframework import Params
from vsframework.interfaces import Networks


class LabNetwork:
    """Builds it, for any number of planes and stains."""

    stride = 1

    def __init__(self, params: Params) -> None:
        self.params = params

    def networks(self, in_channels: int, out_channels: int, image_size: int) -> Networks:
        layers = [
            nn.Conv2d(in_channels, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, out_channels, 3, padding=1),
            nn.Tanh(),
        ]
        return Networks(generator=nn.Sequential(*layers), discriminator=None)

    def deploy(self, generator: nn.Module) -> nn.Module:
        return copy.deepcopy(generator).eval().requires_grad_(False)
