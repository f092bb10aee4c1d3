"""What training minimises: ``lambda_l1 * L1 + lambda_gan * GAN`` (paper, Methods)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

Terms = dict[str, torch.Tensor]
"""Unweighted loss terms by name, as they appear in ``metrics.csv``."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The paper's loss, each term by name, and how terms are weighted.

    Attributes
    ----------
    lambda_l1, lambda_gan
        Weights of the mean absolute error and of the adversarial term.
    """

    lambda_l1: float
    lambda_gan: float

    def generator_terms(self, output: torch.Tensor, target: torch.Tensor, logits: torch.Tensor | None) -> Terms:
        """Judge `output` against `target` [N, C, H, W]; `logits` are the discriminator's on `output`."""
        terms = {"l1": l1_loss(output, target)}
        if logits is not None:
            terms["adversarial"] = judged(logits, real=True)
        return terms

    def generator_loss(self, terms: Terms) -> torch.Tensor:
        """Add the weighted terms up."""
        weights = {"l1": self.lambda_l1, "adversarial": self.lambda_gan}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def discriminator_loss(self, logits: torch.Tensor, *, real: bool) -> torch.Tensor:
        """Give half the error on a real or a virtual batch: the lineage takes one optimiser step on each."""
        return 0.5 * judged(logits, real=real)


def judged(logits: torch.Tensor, *, real: bool) -> torch.Tensor:
    """Give the binary cross-entropy of `logits` when the truth is `real`."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
