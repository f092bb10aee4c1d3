"""What training minimises: ``lambda_l1 * L1 + lambda_gan * GAN`` (paper, Methods), and optional terms beside them.

``terms``: the terms on images. ``quantity``: the quantifier as a term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch

from vsframework.config import DistillationSection, Experiment, ObjectiveSection
from vsframework.dataset.store import PatchDataset
from vsframework.plugins import registry
from vsframework.training.normalisation import Normalisation
from vsframework.training.objective.quantity import QuantityTerm, Values, chosen_quantities
from vsframework.training.objective.terms import adversarial, gradient_difference, l1, l2, structural_dissimilarity

if TYPE_CHECKING:
    from vsframework.interfaces import Quantifier, Quantity

__all__ = ["Objective", "QuantityTerm", "Terms", "Values", "chosen_quantities", "plan_objective", "quantifier_of"]

Terms = dict[str, torch.Tensor]
"""Unweighted loss terms by name, as they appear in ``metrics.csv``."""

Taught = Literal["taught", "unlabelled"]
"""Whether patches that a teacher stained have true stains as well."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The paper's loss and its optional terms, each by name, and how they are weighted.

    Attributes
    ----------
    section
        The weights; a term of weight 0 is not computed (``l1`` always is, to be told).
    quantity
        The quantity term; needed where a ``lambda_quantity`` is not 0.
    distillation
        The weights of what a teacher says.
    """

    section: ObjectiveSection
    quantity: QuantityTerm | None = None
    distillation: DistillationSection = field(default_factory=DistillationSection)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What the quantity term is about; empty without one."""
        return tuple(self.quantity.quantities) if self.quantity is not None else ()

    def generator_terms(self, output: torch.Tensor, target: torch.Tensor, logits: torch.Tensor | None) -> Terms:
        """Judge `output` against `target` [N, C, H, W] in [-1, 1]; `logits` are the discriminator's on `output`."""
        terms = {"l1": l1(output, target)}
        if logits is not None:
            terms["adversarial"] = adversarial(logits, real=True, kind=self.section.gan)
        if self.section.lambda_l2 > 0:
            terms["l2"] = l2(output, target)
        if self.section.lambda_ssim > 0:
            terms["ssim"] = structural_dissimilarity(output, target)
        if self.section.lambda_gradient > 0:
            terms["gradient"] = gradient_difference(output, target)
        if self.quantity is not None and self.section.lambda_quantity > 0:
            terms["quantity"] = self.quantity(output, target)
        return terms

    def taught_terms(self, output: torch.Tensor, taught: torch.Tensor, kind: Taught = "taught") -> Terms:
        """Judge `output` against a teacher's stains [N, C, H, W] in [-1, 1]."""
        terms = {f"{kind}_l1": l1(output, taught)}
        if self.quantity is not None and self.distillation.lambda_quantity > 0:
            terms[f"{kind}_quantity"] = self.quantity(output, taught)
        return terms

    def weak_terms(self, output: torch.Tensor, measured: Mapping[str, torch.Tensor]) -> Terms:
        """Judge `output` [N, C, H, W] of cells that have `measured` values [N] by name and no images."""
        assert self.quantity is not None, "weak targets are read only where there is a quantity term"
        return {"weak_quantity": self.quantity.against(output, measured)}

    def generator_loss(self, terms: Terms) -> torch.Tensor:
        """Add the weighted terms up."""
        weights = {
            "l1": self.section.lambda_l1,
            "l2": self.section.lambda_l2,
            "adversarial": self.section.lambda_gan,
            "ssim": self.section.lambda_ssim,
            "gradient": self.section.lambda_gradient,
            "quantity": self.section.lambda_quantity,
            "weak_quantity": self.section.lambda_quantity,
            "taught_l1": self.distillation.lambda_l1,
            "taught_quantity": self.distillation.lambda_quantity,
            "unlabelled_l1": self.distillation.lambda_l1,
            "unlabelled_quantity": self.distillation.lambda_quantity,
        }
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def discriminator_loss(self, logits: torch.Tensor, *, real: bool) -> torch.Tensor:
        """Give half the error on a real or a virtual batch: the lineage takes one optimiser step on each."""
        return 0.5 * adversarial(logits, real=real, kind=self.section.gan)


def plan_objective(experiment: Experiment, dataset: PatchDataset, normalisation: Normalisation) -> Objective:
    """Build the objective of `experiment` for the training cells of `dataset`.

    Raises
    ------
    UsageError
        When a chosen quantity does not exist or gives no gradient.
    VsfError
        When the quantifier cannot be used in training.
    """
    section, distillation = experiment.objective, experiment.distillation
    if not experiment.measures_in_training:
        return Objective(section=section, distillation=distillation)
    term = QuantityTerm(quantifier_of(experiment), section.quantities, dataset.stains, normalisation)
    term.fit_scales(dataset.accepted(exclude=experiment.split.held_out))
    return Objective(section=section, quantity=term, distillation=distillation)


def quantifier_of(experiment: Experiment) -> Quantifier:
    """Build the quantifier of `experiment`."""
    selection = experiment.quantifier
    quantifier: Quantifier = registry().create("quantifier", selection.name, selection.params)
    return quantifier
