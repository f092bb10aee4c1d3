"""What a training will take, before it is begun: networks, memory and time (``vsf train --dry-run``)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from vsframework.config import Experiment, TrainingSection
from vsframework.dataset.store import PatchDataset
from vsframework.interfaces import Generator
from vsframework.plugins import registry
from vsframework.training.data import Lesson
from vsframework.training.devices import launch
from vsframework.training.distillation import Teaching
from vsframework.training.fixed_statistics import first_held_epoch
from vsframework.training.models import Model, plan_models
from vsframework.training.objective import plan_objective
from vsframework.training.randomness import seed_training
from vsframework.training.streaming import GIB, open_patches, patch_bytes

TIMED_STEPS = 2
WARM_UP = 1


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """One network: whose it is, what it does, and how many numbers of it are trained."""

    model: str
    role: str
    parameters: int


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What a training will take, as measured by a few steps of it.

    Attributes
    ----------
    networks
        In the order of training.
    patches, validation_patches
        Cells trained on, and watched.
    steps
        Optimiser steps of every model, over all epochs.
    state_gib
        Weights, gradients, Adam's two moments and the moving average.
    activations_gib
        What one step keeps for its gradients, measured.
    data_gib, streamed
        All training patches as float32, and whether they stay on disk.
    checkpoint_gib
        One checkpoint; two are kept.
    seconds_per_step
        Of all models together, the faster of two steps on this machine.
    hours
        `steps` times that; validation and checkpoints come on top.
    device, precision, mode
        Where and how; `mode` in words.
    """

    networks: tuple[NetworkPlan, ...]
    patches: int
    validation_patches: int
    steps: int
    state_gib: float
    activations_gib: float
    data_gib: float
    streamed: bool
    checkpoint_gib: float
    seconds_per_step: float
    hours: float
    device: str
    precision: str
    mode: str

    def as_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)


def plan_training(experiment: Experiment, dataset: PatchDataset, teaching: Teaching | None = None) -> TrainingPlan:
    """Build the networks of `experiment`, take a few steps on patches of `dataset`, and forget them; writes nothing.

    Raises what :func:`vsframework.training.loop.train` does for experiments that cannot be trained.
    """
    training = experiment.training
    patches = open_patches(experiment, dataset)
    architecture: Generator = registry().create("generator", experiment.generator.name, experiment.generator.params)
    objective = plan_objective(experiment, dataset, patches.normalisation)
    fabric = launch(training.model_copy(update={"devices": 1}))
    seed_training(training.seed)
    models = [
        Model(plan, architecture, experiment, objective, dataset.size, len(dataset.planes))
        for plan in plan_models(training, dataset.stains)
    ]
    for model in models:
        model.set_up(fabric)
    batch = torch.arange(training.batch_size * training.accumulate) % len(patches)
    brightfield, stains = (fabric.to_device(images) for images in next(patches.batches([batch])))
    if teaching is not None:
        teaching.teacher.set_up(experiment, dataset, patches.normalisation, fabric.device)
    seconds, kept = [], 0
    for turn in range(WARM_UP + TIMED_STEPS):
        with _bytes_kept(models) as counted:
            began = time.perf_counter()
            lesson = Lesson(stains=teaching.teacher(brightfield)) if teaching is not None else None
            for model in models:
                model.step(brightfield, stains, lesson=lesson)
            _wait(fabric.device)
        kept = max(kept, counted[0])
        if turn >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    networks = tuple(
        NetworkPlan(model=model.plan.name, role=role, parameters=_count(network))
        for model in models
        for role, network in model.networks.items()
    )
    weights = sum(network.parameters for network in networks)
    averaged = sum(network.parameters for network in networks if network.role == "generator" and training.ema_decay)
    steps = training.epochs * -(-len(patches) // len(batch))
    per_step = min(seconds)
    data = len(patches) * patch_bytes(dataset)
    return TrainingPlan(
        networks=networks,
        patches=len(patches),
        validation_patches=len(dataset.accepted(experiment.split.validation_donors)),
        steps=steps,
        state_gib=4 * (4 * weights + averaged) / GIB,
        activations_gib=kept / GIB,
        data_gib=data / GIB,
        streamed=data > training.memory_gib * GIB,
        checkpoint_gib=4 * (3 * weights + averaged) / GIB,
        seconds_per_step=per_step,
        hours=steps * per_step / 3600,
        device=str(fabric.device),
        precision=training.precision,
        mode=mode_in_words(training),
    )


@contextmanager
def _bytes_kept(models: list[Model]) -> Iterator[list[int]]:
    """Count the memory that backward passes inside keep, without the weights themselves.

    Memory that is given back and taken again counts once, so this is close to the largest amount at one time.
    """
    weights = {
        weight.untyped_storage().data_ptr()
        for model in models
        for network in model.networks.values()
        for weight in network.parameters()
    }
    seen: dict[int, int] = {}
    total = [0]

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield total
    total[0] = sum(seen.values())


def mode_in_words(training: TrainingSection) -> str:
    """Say in which mode is trained."""
    if training.mode == "paper":
        return "paper (trained with the statistics of the batch and dropout, measured without)"
    first = first_held_epoch(training.epochs, training.held_share)
    return f"deploy (no dropout; statistics measured and held from epoch {first} of {training.epochs} on)"


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
