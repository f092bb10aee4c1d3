"""Keeps stains in [-1, 1] without the flat ends of tanh.

Most of a fluorescence patch is dark, so L1 first drives every pixel to -1. There the gradient of tanh vanishes for the
cells too, and training can end before it began (seen with candidates of `fast`). A clamp that lets every gradient
through which points back inside has no such end, and gives a background of exactly 0 counts, on which the DFI depends.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Bounded(nn.Module):
    """Clamp to [-1, 1]; in training mode, the gradient of a clamped value is dropped only where it points outwards."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take any shape; the deployed form is a plain clamp."""
        if not self.training:
            return x.clamp(-1, 1)
        result: torch.Tensor = _ReturningClamp.apply(x)  # type: ignore[no-untyped-call]
        return result


class _ReturningClamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """Clamp, and remember where."""
        ctx.save_for_backward(x)
        return x.clamp(-1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """Stop what a step against the gradient would move further out."""
        (x,) = ctx.saved_tensors
        (gradient,) = gradients
        outwards = ((x < -1) & (gradient > 0)) | ((x > 1) & (gradient < 0))
        return gradient.masked_fill(outwards, 0)
