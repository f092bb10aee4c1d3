"""A model in training: a generator, its discriminator, their optimisers, and one step of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vsframework.config import Experiment, TrainingSection
from vsframework.interfaces import Generator
from vsframework.training.data import Lesson, WeakBatch
from vsframework.training.fixed_statistics import hold_statistics, make_fixable
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
    average
        The moving average of the generator's weights, or None without ``training.ema_decay``.
    """

    def __init__(
        self,
        plan: ModelPlan,
        architecture: Generator,
        experiment: Experiment,
        objective: Objective,
        size: int,
        planes: int = 1,
    ) -> None:
        self.plan = plan
        training = experiment.training
        self.objective = objective
        built = architecture.networks(planes, len(plan.channels), size)
        generator = make_fixable(built.generator) if training.mode == "deploy" else built.generator
        self.networks: dict[str, nn.Module] = {"generator": generator}
        if built.discriminator is not None and experiment.objective.lambda_gan > 0:
            self.networks["discriminator"] = built.discriminator
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.average: AveragedModel | None = None
        self._training = training

    def set_up(self, fabric: Fabric) -> None:
        """Hand networks and fresh optimisers to `fabric`: device, memory layout, precision, replicas."""
        training = self._training
        self._fabric = fabric
        self._part_size = max(1, training.batch_size // fabric.world_size)
        self._stepped: dict[str, Any] = {}
        on_gpu = fabric.device.type == "cuda"
        channels_last = on_gpu if training.channels_last is None else training.channels_last
        layout = torch.channels_last if channels_last else torch.preserve_format
        for role, network in self.networks.items():
            network.to(fabric.device)
            network.to(memory_format=layout)  # type: ignore[call-overload]  # torch has it, its stubs do not
            # one kernel for all parameters: a step of the paper's networks takes 0.8 of the time at batch 1 on a CPU
            optimiser = torch.optim.Adam(
                network.parameters(), lr=training.learning_rate, betas=training.betas, fused=True
            )
            self.optimisers[role] = optimiser
            compiled: Any = torch.compile(network) if training.compile else network
            self._stepped[role] = fabric.setup(compiled, optimiser)
        if training.ema_decay:
            self.average = AveragedModel(
                self.networks["generator"],
                multi_avg_fn=get_ema_multi_avg_fn(training.ema_decay),  # type: ignore[no-untyped-call]
            ).requires_grad_(False)

    @property
    def trained_generator(self) -> nn.Module:
        """The generator to stain with: of averaged weights where there are such."""
        return self.networks["generator"] if self.average is None else self.average.module

    def hold_statistics(self, brightfield: Iterable[torch.Tensor] | None = None) -> None:
        """In deploy mode: normalise by held statistics from now on, measured over `brightfield` first where given.

        The average of weights takes those of the weights: it must stay the same function as they are.
        """
        generator = hold_statistics(self.networks["generator"], brightfield)
        if self.average is not None:
            averaged = hold_statistics(self.average.module)
            if brightfield is not None:
                averaged.load_state_dict(dict(generator.named_buffers()), strict=False)

    def set_learning_rate(self, factor: float) -> None:
        """Set every learning rate to `factor` times that of the experiment."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self._training.learning_rate * factor

    def step(
        self,
        brightfield: torch.Tensor,
        stains: torch.Tensor,
        weak: WeakBatch | None = None,
        share: float = 1.0,
        lesson: Lesson | None = None,
    ) -> Terms:
        """Train on one batch: brightfield [N, P, H, W] and all stains [N, C, H, W], in [-1, 1].

        The discriminator takes two half-weighted steps (real, virtual), as in the paper's lineage, or one on both
        (``objective.discriminator_update``), then the generator takes one; the virtual stains are computed once for
        both. Cells of `weak`, which have measured values and no images, are stained in a pass of their own: they share
        no batch statistics with the others.

        More than ``training.batch_size`` patches are taken in parts whose gradients add up to those of the whole; the
        virtual stains are then computed once more for the generator's step, so that one part is in memory at a time.
        `share` weighs this process's gradients against those of the others (1 alone). `lesson` is what a teacher says
        about the same patches; what only the teacher stained goes its own way, as `weak` does.
        """
        parts = self._parts(brightfield, stains, lesson)
        terms: Terms = {}
        output = None
        if "discriminator" in self._stepped:
            generator, _ = self._stepped["generator"]
            if self._takes_one_pass(parts):
                output = generator(brightfield)
                virtual = [output.detach()]
            else:
                with torch.no_grad():
                    virtual = [generator(part.brightfield) for part in parts]
            terms = self._step_discriminator(parts, virtual, share)
        return {**self._step_generator(parts, output, weak, share, lesson), **terms}

    def _takes_one_pass(self, parts: Sequence[_Part]) -> bool:
        """Whether a batch is one part; processes that share it must agree, or each would wait for the other."""
        return len(parts) == 1 if self._fabric.world_size == 1 else self._training.accumulate == 1

    def _parts(self, brightfield: torch.Tensor, stains: torch.Tensor, lesson: Lesson | None) -> list[_Part]:
        columns = [brightfield, self._own(stains)] + ([] if lesson is None else [self._own(lesson.stains)])
        pieces = zip(*(torch.split(column, self._part_size) for column in columns), strict=True)
        return [_Part(len(piece[0]) / len(brightfield), *piece) for piece in pieces]

    def _own(self, stains: torch.Tensor) -> torch.Tensor:
        """Give this model's channels of all stains [N, C, H, W]."""
        return stains[:, list(self.plan.channels)]

    def _step_discriminator(self, parts: Sequence[_Part], virtual: Sequence[torch.Tensor], share: float) -> Terms:
        discriminator, optimiser = self._stepped["discriminator"]
        discriminator.requires_grad_(True)
        terms: Terms = {}
        one_step = self.objective.section.discriminator_update == "one-step"
        for name, real in (("real", True), ("virtual", False)):
            steps = not (one_step and real)
            if real or not one_step:
                optimiser.zero_grad()
            for index, part in enumerate(parts):
                judged = part.target if real else virtual[index]
                with self._synchronised(discriminator, steps and index == len(parts) - 1):
                    loss = self.objective.discriminator_loss(discriminator(pair(part.brightfield, judged)), real=real)
                    self._fabric.backward(loss * (part.fraction * share))
                _add(terms, {f"discriminator_{name}": loss}, part.fraction)
            if steps:
                optimiser.step()
        discriminator.requires_grad_(False)
        return terms

    def _step_generator(
        self,
        parts: Sequence[_Part],
        output: torch.Tensor | None,
        weak: WeakBatch | None,
        share: float,
        lesson: Lesson | None,
    ) -> Terms:
        generator, optimiser = self._stepped["generator"]
        terms: Terms = {}
        optimiser.zero_grad()
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            with self._synchronised(generator, last):
                stained = generator(part.brightfield) if output is None else output
                part_terms = self.objective.generator_terms(stained, part.target, self._logits(part, stained))
                if part.taught is not None:
                    part_terms |= self.objective.taught_terms(stained, part.taught)
                loss = self.objective.generator_loss(part_terms) * (part.fraction * share)
                _add(terms, part_terms, part.fraction)
                if last and weak is not None:
                    weak_terms = self.objective.weak_terms(generator(weak.brightfield), weak.measured)
                    loss = loss + self.objective.generator_loss(weak_terms)
                    _add(terms, weak_terms, 1.0)
                if last and lesson is not None and lesson.unlabelled is not None:
                    images, taught = lesson.unlabelled
                    taught_terms = self.objective.taught_terms(generator(images), self._own(taught), "unlabelled")
                    loss = loss + self.objective.generator_loss(taught_terms)
                    _add(terms, taught_terms, 1.0)
                self._fabric.backward(loss)
        optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.networks["generator"])
        return terms

    def _logits(self, part: _Part, stained: torch.Tensor) -> torch.Tensor | None:
        """Ask the discriminator, whose own gradients are not computed here."""
        if "discriminator" not in self._stepped:
            return None
        judged = pair(part.brightfield, stained)
        if self._fabric.world_size == 1:
            logits: torch.Tensor = self._stepped["discriminator"][0](judged)
            return logits
        # a replica would wait for gradients that never come
        with self._fabric.autocast():
            logits = self.networks["discriminator"](judged)
        return logits.float()

    def _synchronised(self, network: Any, now: bool) -> AbstractContextManager[Any]:
        """Exchange gradients between processes with the last part of a batch only."""
        alone = now or self._fabric.world_size == 1
        return nullcontext() if alone else self._fabric.no_backward_sync(network)

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(
            bool(weight.isfinite().all()) for network in self.networks.values() for weight in network.parameters()
        )


class _Part(NamedTuple):
    """Some patches of a batch, which fraction of it they are, and a teacher's stains of them."""

    fraction: float
    brightfield: torch.Tensor
    target: torch.Tensor
    taught: torch.Tensor | None = None


def pair(brightfield: torch.Tensor, stains: torch.Tensor) -> torch.Tensor:
    """Concatenate what the discriminator judges: brightfield first."""
    return torch.cat([brightfield, stains], dim=1)


def _add(sums: Terms, terms: Terms, weight: float) -> None:
    for name, term in terms.items():
        weighted = term.detach() * weight
        sums[name] = sums[name] + weighted if name in sums else weighted
