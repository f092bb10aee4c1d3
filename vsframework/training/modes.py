"""What is watched in training: validation donors, and what measuring costs against the paper's mode.

In the paper's mode a generator stains as it trains, with the statistics of its batch and with dropout: the same patch
is stained differently each time. In deploy mode a patch has one answer, and only that mode is measured with and
exported. ``training.mode = "deploy"`` trains what is measured (see ``fixed_statistics``).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.interfaces import Generator
from vsframework.training.calibration import calibrated, needs_statistics
from vsframework.training.finishing import brightfield_of
from vsframework.training.fixed_statistics import fixable_norms, hold_statistics
from vsframework.training.models import Model
from vsframework.training.objective import quantifier_of
from vsframework.training.records import Records
from vsframework.training.streaming import PatchSource
from vsframework.training.validation import Score, Stainers, Watched

SAMPLE = 64
"""Training cells on which the modes are compared where there are no validation donors."""


class Watch:
    """Judges the models of a training, without changing them or any random state.

    Raises what :class:`~vsframework.training.validation.Watched` does.
    """

    def __init__(
        self, experiment: Experiment, dataset: PatchDataset, patches: PatchSource, architecture: Generator
    ) -> None:
        self._section = experiment.validation
        self._architecture = architecture
        self._patches = patches
        self._seed = experiment.training.seed
        self._mode = experiment.training.mode
        self._validates = bool(experiment.split.validation_donors)
        donors: Sequence[str] = experiment.split.validation_donors
        self._where = f"validation donors ({', '.join(donors)})"
        if not self._validates:
            donors = [donor for donor in dataset.donors if donor not in experiment.split.held_out]
            self._where = "donors trained on"
        limit = None if self._validates else SAMPLE
        self._cells = Watched(dataset, donors, patches.normalisation, quantifier_of(experiment), limit)

    @property
    def keeps_best(self) -> bool:
        """Whether the weights that validate best are those that stain in the end."""
        return self._validates and self._section.best != "last"

    def is_due(self, epoch: int) -> bool:
        """Whether `epoch` ends with a validation."""
        return self._validates and epoch % self._section.every == 0

    def rank(self, score: Score, epoch: int) -> float:
        """Give the number that decides which weights are best: lower is better; infinite where it is no number."""
        value = score.l1 if self._section.best == "l1" else score.quantity_error
        return value if math.isfinite(value) else math.inf

    def validate(self, models: Sequence[Model], fabric: Fabric) -> Score:
        """Score the models in the first process, and tell the others."""
        if fabric.world_size == 1:
            return self.score(models, fabric)
        score = fabric.broadcast(self.score(models, fabric) if fabric.is_global_zero else None)
        assert score is not None
        return score

    def score(self, models: Sequence[Model], fabric: Fabric) -> Score:
        """Score the deploy form of the models as they are now."""
        return self._cells.score(self._deployed(models, fabric), fabric.device)

    def show(self, records: Records, epoch: int, models: Sequence[Model], fabric: Fabric) -> None:
        """Put some cells with their stains into TensorBoard."""
        if fabric.is_global_zero:
            records.add_strip(epoch, self._cells.strip(self._deployed(models, fabric), fabric.device))

    def compare_modes(self, models: Sequence[Model], fabric: Fabric) -> dict[str, Any]:
        """Measure the error of the quantity as trained and in deploy mode, on the same cells: JSON values."""
        forms = self._deployed(models, fabric)
        deployed = self._cells.score(forms, fabric.device)
        devices = [fabric.device] if fabric.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed)
            networks = [(model.plan.channels, copy.deepcopy(model.trained_generator).train()) for model in models]
            as_trained = self._cells.score(networks, fabric.device, batch=1)
        return {
            "trained": self._mode,
            "measured": "deploy",
            "switched": any(_has_two_modes(network) for _, network in networks),
            "normalised_by_image": any(_normalises_by_image(form) for _, form in forms),
            "quantity": self._cells.quantity.name,
            "deploy_error": deployed.quantity_error,
            "trained_error": as_trained.quantity_error,
            "cells": len(self._cells),
            "of": self._where,
        }

    def _deployed(self, models: Sequence[Model], fabric: Fabric) -> Stainers:
        stainers = []
        for model in models:
            generator = model.trained_generator
            if any(not norm.held for norm in fixable_norms(generator)):
                generator = hold_statistics(copy.deepcopy(generator), brightfield_of(self._patches))
            form = self._architecture.deploy(generator)
            if needs_statistics(form):
                measured = calibrated(generator, brightfield_of(self._patches), fabric.device)
                form = self._architecture.deploy(measured)
            stainers.append((model.plan.channels, form))
        return stainers


def _has_two_modes(network: nn.Module) -> bool:
    """Whether a layer looks at the batch or draws random numbers in training."""
    return any(
        isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0)
        for module in network.modules()
    )


def _normalises_by_image(network: nn.Module) -> bool:
    """Whether a layer takes the statistics of each image: a cell's stain then depends on what else is in its tile."""
    return any(isinstance(module, _InstanceNorm | nn.GroupNorm) for module in network.modules())
