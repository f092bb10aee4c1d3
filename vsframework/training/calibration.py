"""Running statistics for measuring: gathered once more, over all training patches, after the last step."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BATCH = 16


def calibrated(generator: nn.Module, brightfield: torch.Tensor, device: torch.device) -> nn.Module:
    """Copy `generator`, with batch normalisation's running statistics gathered again over `brightfield`.

    Those of training trail behind the weights and were gathered with dropout on; measuring happens with the last
    weights and dropout off. `brightfield` is [N, in_channels, H, W] in [-1, 1]. A generator without batch
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
        for batch in torch.split(brightfield, BATCH):
            result(batch.to(device))
    return result.eval()
