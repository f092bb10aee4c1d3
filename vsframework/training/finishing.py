"""The end of training: the generators that stain, with everything that staining needs to know about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

import vsframework
from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.plugins import registry
from vsframework.training.calibration import BATCH, calibrated
from vsframework.training.checkpoints import write_weights
from vsframework.training.distillation import Teacher
from vsframework.training.models import Model
from vsframework.training.streaming import PatchSource


def describe_generator(experiment: Experiment) -> dict[str, Any]:
    """Say which generator is trained, and where it comes from."""
    entry = registry().find("generator", experiment.generator.name)
    return {
        "name": entry.qualified_name,
        "params": dict(experiment.generator.params),
        "plugin": entry.plugin.name,
        "distribution": entry.plugin.distribution,
        "version": entry.plugin.version,
    }


def describe_training(
    experiment: Experiment,
    dataset: PatchDataset,
    patches: PatchSource,
    models: Sequence[Model],
    weak: PatchDataset | None,
    teacher: Teacher | None,
) -> dict[str, Any]:
    """Say everything that staining with the final generators needs, and where they come from."""
    return {
        "kind": "generators",
        "dataset_hash": dataset.info["hash"],
        "patches": len(patches),
        "donors": _donors(experiment, dataset, weak, teacher),
        **({"teacher": teacher.describe()} if teacher else {}),
        "training_mode": experiment.training.mode,
        "in_channels": len(dataset.planes),
        "planes": list(dataset.planes),
        "stains": list(dataset.stains),
        "image_size": dataset.size,
        "bit_depth": dataset.bit_depth,
        "pixel_size_um": dataset.info.get("pixel_size_um"),
        "normalisation": patches.normalisation.as_json(),
        "models": [{"name": model.plan.name, "channels": list(model.plan.channels)} for model in models],
        "generator": describe_generator(experiment),
        "versions": {"vsframework": vsframework.__version__, "torch": torch.__version__},
    }


def _donors(
    experiment: Experiment, dataset: PatchDataset, weak: PatchDataset | None, teacher: Teacher | None
) -> dict[str, list[str]]:
    """Say whose cells made the weights what they are, and whose chose them; a teacher's come through to its student."""
    split = experiment.split
    cells = [data.accepted() for data in (dataset, weak) if data is not None]
    trained = {str(donor) for table in cells for donor in table["donor"]} - set(split.held_out)
    taught = teacher.donors if teacher else {"trained_on": [], "chosen_on": []}
    return {
        "trained_on": sorted(trained | set(taught["trained_on"])),
        "chosen_on": sorted(set(split.validation_donors) | set(taught["chosen_on"])),
    }


def brightfield_of(patches: PatchSource) -> Iterator[torch.Tensor]:
    """Give brightfield of all training patches, batch by batch."""
    for brightfield, _ in patches.batches(torch.split(torch.arange(len(patches)), BATCH)):
        yield brightfield


def generator_weights(models: Sequence[Model]) -> dict[str, torch.Tensor]:
    """Collect the generators that would stain now: tensors by name."""
    return {
        f"{model.plan.name}/{name}": value
        for model in models
        for name, value in model.trained_generator.state_dict().items()
    }


def write_generators(
    path: Path, header: dict[str, Any], generators: dict[str, nn.Module], patches: PatchSource, device: torch.device
) -> None:
    """Write `generators` (by the name of their model), their running statistics gathered once more, to `path`."""
    tensors: dict[str, torch.Tensor] = {}
    for name, generator in generators.items():
        measured = calibrated(generator, brightfield_of(patches), device)
        tensors |= {f"{name}/{key}": value for key, value in measured.state_dict().items()}
    write_weights(path, tensors, header)
