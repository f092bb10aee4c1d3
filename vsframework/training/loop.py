"""The training loop: epochs over the patches, checkpoints on the way, the trained generators at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

import vsframework
from vsframework.atomic import atomic_path
from vsframework.config import Experiment, write_experiment
from vsframework.dataset.store import PatchDataset
from vsframework.errors import VsfError
from vsframework.interfaces import Generator
from vsframework.plugins import registry
from vsframework.training.calibration import calibrated
from vsframework.training.checkpoints import Checkpoints, training_identity, write_weights
from vsframework.training.data import TrainingPatches, epoch_batches, load_training_patches
from vsframework.training.models import Model, plan_models
from vsframework.training.records import Bar, Records, training_bar


def train(experiment: Experiment, dataset: PatchDataset, run: Path) -> None:
    """Train the generators of `experiment` on `dataset` into the folder `run`; goes on where an earlier call stopped.

    Writes ``checkpoints/`` (the newest two states, and ``final/generators.safetensors``), ``config.toml``,
    ``metrics.csv`` and ``tensorboard/``. Returns at once when the run is trained already. On a CPU, an interrupted and
    resumed training gives the same weights, bit for bit, as an uninterrupted one.

    Raises
    ------
    UsageError
        When the generator, a parameter or a held-out donor does not exist, or the patches do not fit the generator.
    VsfError
        When the checkpoints in `run` belong to another experiment or dataset, when there is nothing to train on, or
        when the loss stops being a number.
    """
    checkpoints = Checkpoints(run / "checkpoints", training_identity(experiment, dataset.info["hash"]))
    epochs = experiment.training.epochs
    if checkpoints.finished_epochs() == epochs:
        return
    architecture: Generator = registry().create("generator", experiment.generator.name, experiment.generator.params)
    patches = load_training_patches(experiment, dataset)
    torch.manual_seed(experiment.training.seed)
    models = [
        Model(plan, architecture, experiment, dataset.size) for plan in plan_models(experiment.training, dataset.stains)
    ]
    fabric = _fabric(experiment)
    for model in models:
        model.set_up(fabric)
    start = checkpoints.restore(models)
    if start > epochs:
        raise VsfError(
            f"{checkpoints.folder} is already at epoch {start}, more than training.epochs = {epochs}; raise it to at "
            f"least {start}, or delete the folder to train anew"
        )
    with atomic_path(run / "config.toml") as temporary:
        write_experiment(experiment, temporary)
    total = epochs * len(patches)
    with Records(run, start) as records, training_bar(total, start * len(patches)) as bar:
        for epoch in range(start + 1, epochs + 1):
            _train_epoch(epoch, models, patches, experiment, fabric, records, bar)
            if epoch % experiment.training.checkpoint_every == 0 or epoch == epochs:
                _check_weights(models, epoch)
                checkpoints.save(epoch, models)
    header = {"identity": checkpoints.identity, "epochs": epochs, **_description(experiment, dataset, patches, models)}
    _write_generators(checkpoints.final, header, models, patches, fabric)


def _train_epoch(
    epoch: int,
    models: Sequence[Model],
    patches: TrainingPatches,
    experiment: Experiment,
    fabric: Fabric,
    records: Records,
    bar: Bar,
) -> None:
    """Train every model on every patch once, and record the means."""
    training = experiment.training
    sums: list[dict[str, torch.Tensor]] = [{} for _ in models]
    seconds = [0.0 for _ in models]
    began = time.perf_counter()
    seen = 0
    for batch in epoch_batches(len(patches), training.batch_size, training.seed, epoch):
        brightfield = fabric.to_device(patches.brightfield[batch])
        stains = fabric.to_device(patches.stains[batch])
        for index, model in enumerate(models):
            step_began = time.perf_counter()
            for name, term in model.step(brightfield, stains).items():
                sums[index][name] = sums[index].get(name, torch.zeros_like(term)) + term * len(batch)
            seconds[index] += time.perf_counter() - step_began
        seen += len(batch)
        rate = seen / (time.perf_counter() - began)
        bar(len(batch), f"images, epoch {epoch} of {training.epochs}, {rate:.3g} images/s")
    for model, totals, spent in zip(models, sums, seconds, strict=True):
        means = {name: float(value) / len(patches) for name, value in totals.items()}
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            raise VsfError(
                f"the loss of {model.plan.name} ({', '.join(broken)}) stopped being a number in epoch {epoch}; the "
                "last good checkpoint is kept, so lower training.learning_rate or change training.precision"
            )
        records.add(epoch, model.plan.name, {**means, "images_per_second": len(patches) / spent})


def _check_weights(models: Sequence[Model], epoch: int) -> None:
    """Make sure that no checkpoint is written of weights that are not numbers."""
    for model in models:
        if not model.is_finite():
            raise VsfError(
                f"weights of {model.plan.name} stopped being numbers in epoch {epoch}; the last good checkpoint is "
                "kept, so lower training.learning_rate or change training.precision"
            )


def _fabric(experiment: Experiment) -> Fabric:
    training = experiment.training
    try:
        fabric = Fabric(accelerator=training.accelerator, devices=1, precision=training.precision)
    except (ValueError, RuntimeError, ImportError) as error:
        raise VsfError(f"training.accelerator = {training.accelerator!r} does not work here: {error}") from error
    fabric.launch()
    return fabric


def _description(
    experiment: Experiment, dataset: PatchDataset, patches: TrainingPatches, models: Sequence[Model]
) -> dict[str, Any]:
    """Say everything that staining with the final generators needs, and where they come from."""
    entry = registry().find("generator", experiment.generator.name)
    return {
        "kind": "generators",
        "dataset_hash": dataset.info["hash"],
        "patches": len(patches),
        "in_channels": 1,
        "stains": list(dataset.stains),
        "image_size": dataset.size,
        "bit_depth": dataset.bit_depth,
        "normalisation": patches.normalisation.as_json(),
        "models": [{"name": model.plan.name, "channels": list(model.plan.channels)} for model in models],
        "generator": {
            "name": entry.qualified_name,
            "params": dict(experiment.generator.params),
            "plugin": entry.plugin.name,
            "distribution": entry.plugin.distribution,
            "version": entry.plugin.version,
        },
        "versions": {"vsframework": vsframework.__version__, "torch": torch.__version__},
    }


def _write_generators(
    path: Path, header: dict[str, Any], models: Sequence[Model], patches: TrainingPatches, fabric: Fabric
) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for model in models:
        generator = calibrated(model.networks["generator"], patches.brightfield, fabric.device)
        tensors |= {f"{model.plan.name}/{name}": value for name, value in generator.state_dict().items()}
    write_weights(path, tensors, header)
