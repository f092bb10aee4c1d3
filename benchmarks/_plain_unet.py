"""The plain U-Net that benchmarks/in_silico_labeling.py compares with, and its training loop."""

from __future__ import annotations

import copy
import time
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

CROP, BATCH = 128, 8

Image = npt.NDArray[np.float32]


class PlainUNet(nn.Module):
    """The reference: 24 filters at full resolution, three halvings, GroupNorm and ReLU after every convolution."""

    def __init__(self, planes: int, stains: int, width: int = 24, depth: int = 3) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.encoder = nn.ModuleList(_twice(before, after) for before, after in pairwise([planes, *widths]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * finer, finer, 2, stride=2) for finer in widths[:-1])
        self.decoder = nn.ModuleList(_twice(2 * finer, finer) for finer in widths[:-1])
        self.head = nn.Conv2d(width, stains, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take [N, planes, H, W] to [N, stains, H, W]."""
        skips: list[torch.Tensor] = []
        for level, blocks in enumerate(self.encoder):
            x = blocks(nn.functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for up, blocks in zip(reversed(self.up), reversed(self.decoder), strict=True):
            x = blocks(torch.cat([up(x), skips.pop()], dim=1))
        stains: torch.Tensor = self.head(x)
        return stains


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for count in (inputs, outputs):
        layers += [nn.Conv2d(count, outputs, 3, padding=1), nn.GroupNorm(8, outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def train_plain(brightfield: Image, stains: Image, full_scale: float, steps: int, every: int) -> list[dict[str, Any]]:
    """Train the reference on random crops of the training part: L1, Adam at 1e-3, nothing else.

    Gives the weights after `every` so many steps, in deploy form, and the time spent on the steps alone.
    """
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    network = PlainUNet(len(brightfield), len(stains))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    pair = torch.from_numpy(np.concatenate([brightfield, stains]) * (2 / full_scale) - 1)
    kept: list[dict[str, Any]] = []
    cpu = wall = 0.0
    for step in range(1, steps + 1):
        began = time.process_time(), time.perf_counter()
        corners = [[int(random.integers(side - CROP + 1)) for side in pair.shape[1:]] for _ in range(BATCH)]
        batch = torch.stack([pair[:, y : y + CROP, x : x + CROP] for y, x in corners])
        output = network(batch[:, : len(brightfield)])
        optimiser.zero_grad()
        loss = nn.functional.l1_loss(output, batch[:, len(brightfield) :])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        cpu, wall = cpu + time.process_time() - began[0], wall + time.perf_counter() - began[1]
        if step % every == 0 or step == steps:
            note = {"step": step, "cpu_s": cpu, "wall_s": wall, "network": copy.deepcopy(network).eval()}
            kept.append(note)
    return kept
