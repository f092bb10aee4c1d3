"""Running statistics for measuring: gathered once more, over all training patches, after the last step."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCH = 16
"""Patches per batch whose statistics are averaged."""


def calibrated(generator: nn.Module, brightfield: Iterable[torch.Tensor], device: torch.device) -> nn.Module:
    """Copy `generator`, with batch normalisation's running statistics gathered again over `brightfield`.

    Those of training trail behind the weights and were gathered with dropout on; measuring happens with the last
    weights and dropout off. `brightfield` gives batches [N, in_channels, H, W] in [-1, 1]. A generator without batch
    normalisation is copied as it is.
    """
    result = copy.deepcopy(generator).eval()
    norms = [module for module in result.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return result
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all batches
        norm.train()
    with torch.inference_mode():
        for batch in brightfield:
            result(batch.to(device))
    return result.eval()


def needs_statistics(deployed: nn.Module) -> bool:
    """Whether the `deployed` form of a generator measures with running statistics."""
    return any(isinstance(module, _BatchNorm) for module in deployed.modules())
