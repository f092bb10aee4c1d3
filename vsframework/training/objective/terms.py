"""The terms of the objective on images: pure functions, each giving one number >= 0.

Stains are tensors [N, C, H, W] in [-1, 1].
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss

Adversary = Literal["bce", "lsgan"]

SSIM_WINDOW_PX = 11
"""Side of the window that structural similarity looks through (Wang et al. 2004)."""


def l1(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Give the mean absolute difference of all pixels, 0 to 2 (paper, Methods)."""
    return l1_loss(output, target)


def l2(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Give the mean squared difference of all pixels, 0 to 4."""
    return mse_loss(output, target)


def adversarial(logits: torch.Tensor, *, real: bool, kind: Adversary = "bce") -> torch.Tensor:
    """Give the error of a discriminator's `logits`, of any shape, when the truth is `real`.

    Parameters
    ----------
    kind
        ``"bce"``: binary cross-entropy (Goodfellow et al. 2014; the paper). ``"lsgan"``: squared distance of the
        logits to 1 (real) or 0 (Mao et al. 2017, eq. 9).
    """
    truth = torch.full_like(logits, float(real))
    return binary_cross_entropy_with_logits(logits, truth) if kind == "bce" else mse_loss(logits, truth)


def structural_dissimilarity(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Give 1 - SSIM, 0 (equal) to 2, over a Gaussian window of 11 px (Wang et al. 2004), by kornia."""
    from kornia.metrics import ssim  # it costs most of a second, and only experiments that use it should pay

    # SSIM is defined on luminance, which has a zero: [-1, 1] becomes [0, 1]
    similarity: torch.Tensor = ssim((output + 1) / 2, (target + 1) / 2, SSIM_WINDOW_PX, max_val=1.0)
    return 1 - similarity.mean()


def gradient_difference(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Give how much steps between neighbouring pixels differ in height, 0 to 4 (Mathieu et al. 2016, eq. 6, alpha 1).

    The mean over all horizontal neighbours plus that over all vertical ones. The direction of a step does not count,
    only its height: it keeps edges sharp.
    """
    return sum(
        (l1_loss(output.diff(dim=axis).abs(), target.diff(dim=axis).abs()) for axis in (-1, -2)),
        start=output.new_zeros(()),
    )
