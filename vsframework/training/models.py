"""A model in training: a generator, its discriminator, their optimisers, and one step of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from vsframework.config import Experiment, TrainingSection
from vsframework.interfaces import Generator
from vsframework.training.objective import Objective, Terms

JOINT = "joint"


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """Which stains a model gives: `channels` are their places in the dataset's order."""

    name: str
    channels: tuple[int, ...]


def plan_models(training: TrainingSection, stains: Sequence[str]) -> list[ModelPlan]:
    """Plan one model per stain (paper), or one for all.

    Examples
    --------
    >>> [plan.name for plan in plan_models(TrainingSection(), ["dsDNA", "ssDNA"])]
    ['dsDNA', 'ssDNA']
    """
    if training.models == "joint":
        return [ModelPlan(name=JOINT, channels=tuple(range(len(stains))))]
    return [ModelPlan(name=stain, channels=(index,)) for index, stain in enumerate(stains)]


class Model:
    """One generator in training.

    Attributes
    ----------
    plan
        Its name and stains.
    networks, optimisers
        By role: ``"generator"``, and ``"discriminator"`` where one is used.
    """

    def __init__(self, plan: ModelPlan, architecture: Generator, experiment: Experiment, size: int) -> None:
        self.plan = plan
        training = experiment.training
        self.objective = Objective(lambda_l1=training.lambda_l1, lambda_gan=training.lambda_gan)
        built = architecture.networks(1, len(plan.channels), size)
        self.networks: dict[str, nn.Module] = {"generator": built.generator}
        if built.discriminator is not None and training.lambda_gan > 0:
            self.networks["discriminator"] = built.discriminator
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self._training = training

    def set_up(self, fabric: Fabric) -> None:
        """Hand networks and fresh optimisers to `fabric`: device, precision, replicas."""
        self._fabric = fabric
        self._stepped: dict[str, Any] = {}
        for role, network in self.networks.items():
            network.to(fabric.device)
            # one kernel for all parameters: a step of the paper's networks takes 0.8 of the time at batch 1 on a CPU
            optimiser = torch.optim.Adam(
                network.parameters(), lr=self._training.learning_rate, betas=self._training.betas, fused=True
            )
            self.optimisers[role] = optimiser
            self._stepped[role] = fabric.setup(network, optimiser)

    def step(self, brightfield: torch.Tensor, stains: torch.Tensor) -> Terms:
        """Train on one batch: brightfield [N, 1, H, W] and all stains [N, C, H, W], in [-1, 1].

        The discriminator takes two half-weighted steps (real, virtual), then the generator takes one, as in the
        paper's lineage; the virtual stains are computed once for both.
        """
        target = stains[:, list(self.plan.channels)]
        generator, generator_optimiser = self._stepped["generator"]
        output = generator(brightfield)
        terms: Terms = {}
        logits = None
        if "discriminator" in self._stepped:
            discriminator, discriminator_optimiser = self._stepped["discriminator"]
            discriminator.requires_grad_(True)
            for name, judged, real in (("real", target, True), ("virtual", output.detach(), False)):
                loss = self.objective.discriminator_loss(discriminator(pair(brightfield, judged)), real=real)
                discriminator_optimiser.zero_grad()
                self._fabric.backward(loss)
                discriminator_optimiser.step()
                terms[f"discriminator_{name}"] = loss.detach()
            discriminator.requires_grad_(False)
            logits = discriminator(pair(brightfield, output))
        generator_terms = self.objective.generator_terms(output, target, logits)
        generator_optimiser.zero_grad()
        self._fabric.backward(self.objective.generator_loss(generator_terms))
        generator_optimiser.step()
        return {**{name: term.detach() for name, term in generator_terms.items()}, **terms}

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(
            bool(weight.isfinite().all()) for network in self.networks.values() for weight in network.parameters()
        )


def pair(brightfield: torch.Tensor, stains: torch.Tensor) -> torch.Tensor:
    """Concatenate what the discriminator judges: brightfield first."""
    return torch.cat([brightfield, stains], dim=1)
