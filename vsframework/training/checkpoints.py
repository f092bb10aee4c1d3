"""Weights on disk: one safetensors file per state, its description as JSON in the file's own header.

Nothing is ever unpickled, and a file is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from vsframework.atomic import atomic_path
from vsframework.config import Experiment
from vsframework.errors import VsfError
from vsframework.training.models import Model

HEADER_KEY = "vsframework"
FORMAT_VERSION = 1
KEPT = 2
"""How many checkpoints of a training are kept: the older one is there in case the newest is damaged."""
FINAL = "final/generators.safetensors"
"""The trained generators, in the folder of checkpoints; there when training has ended."""

# what does not change the weights after a given number of epochs
NOT_IDENTIFYING = ("epochs", "checkpoint_every", "accelerator")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A safetensors file of ours, read: its description and its tensors by name."""

    header: dict[str, Any]
    tensors: dict[str, torch.Tensor]


class Checkpoints:
    """The folder ``checkpoints/`` of a run: states of one training, and at the end the generators alone.

    Parameters
    ----------
    folder
        Where the files lie.
    identity
        What :func:`training_identity` gives for the experiment and dataset at hand.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.identity = identity

    @property
    def final(self) -> Path:
        """Where the trained generators are, once training has ended."""
        return self.folder / FINAL

    def finished_epochs(self) -> int:
        """Give the number of epochs that the final generators were trained for, 0 while there are none.

        Raises
        ------
        VsfError
            When they belong to another experiment or dataset.
        """
        if not self.final.exists():
            return 0
        try:
            header = read_header(self.final)
        except VsfError as error:
            log.warning("%s; training goes on from the newest checkpoint", error)
            return 0
        self._check_identity(self.final, header)
        return int(header["epochs"])

    def save(self, epoch: int, models: Sequence[Model]) -> None:
        """Write the whole state of training after `epoch` epochs, and drop all but the newest two."""
        tensors, optimisers = _gather(models)
        header = {"kind": "training-state", "identity": self.identity, "epoch": epoch, "optimisers": optimisers}
        write_weights(self.folder / f"epoch-{epoch:06d}.safetensors", tensors, header)
        for old in self._states()[:-KEPT]:
            old.unlink()

    def restore(self, models: Sequence[Model]) -> int:
        """Load the newest good state into `models`; gives its epoch, 0 where there is none.

        Raises
        ------
        VsfError
            When a state belongs to another experiment or dataset, or when every one is damaged.
        """
        states = self._states()
        for path in reversed(states):
            try:
                state = read_weights(path)
                self._check_identity(path, state.header)
                _scatter(state, models, path)
            except DamagedWeightsError as error:
                log.warning("%s; the checkpoint before it is tried", error)
                continue
            return int(state.header["epoch"])
        if states:
            raise VsfError(f"none of the checkpoints in {self.folder} can be read; delete them to train from the start")
        return 0

    def _states(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.safetensors"))

    def _check_identity(self, path: Path, header: Mapping[str, Any]) -> None:
        if header.get("identity") != self.identity:
            raise VsfError(
                f"{path} belongs to another experiment or dataset (its generator, training or split differ); choose "
                f"another output folder, or train anew: 'vsf run --force', or delete {path.parent}"
            )


class DamagedWeightsError(VsfError):
    """A weight file is truncated, or is not one of ours."""


def training_identity(experiment: Experiment, dataset_hash: str) -> str:
    """Hash everything that decides the weights after a given number of epochs.

    The number of epochs itself is left out, so that a training can be prolonged.
    """
    tables = experiment.tables()
    training = {key: value for key, value in tables["training"].items() if key not in NOT_IDENTIFYING}
    decisive = [tables["generator"], training, tables["split"], dataset_hash]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def write_weights(path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> None:
    """Write `tensors` and the JSON values `header` as one safetensors file, whole or not at all."""
    text = json.dumps({"format": FORMAT_VERSION, **header}, sort_keys=True)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(whole, temporary, {HEADER_KEY: text})
        except SafetensorError as error:
            raise VsfError(f"{path} could not be written ({error}); is the disk full?") from error


def read_header(path: Path) -> dict[str, Any]:
    """Read the description of a weight file without its tensors."""
    return _read(path, with_tensors=False).header


def read_weights(path: Path) -> WeightFile:
    """Read a weight file of ours.

    Raises
    ------
    DamagedWeightsError
        When it is truncated, or was not written by vsframework.
    VsfError
        When it is missing, or of a newer format.
    """
    return _read(path, with_tensors=True)


def _read(path: Path, *, with_tensors: bool) -> WeightFile:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER_KEY])
            version = header["format"]
            tensors = {name: file.get_tensor(name) for name in file.keys()} if with_tensors else {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise VsfError(f"there is no {path}; train first") from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedWeightsError(f"{path} is damaged or was not written by vsframework") from error
    if version != FORMAT_VERSION:
        raise VsfError(f"{path} has format {version} and this vsframework reads {FORMAT_VERSION}; upgrade vsframework")
    return WeightFile(header=header, tensors=tensors)


def _gather(models: Sequence[Model]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Collect the state of networks, optimisers and random generators: tensors by name, the rest as JSON values."""
    tensors = {"random/cpu": torch.get_rng_state()}
    for index in range(torch.cuda.device_count()):
        tensors[f"random/cuda{index}"] = torch.cuda.get_rng_state(index)
    groups: dict[str, Any] = {}
    for model in models:
        for role, network in model.networks.items():
            prefix = f"{model.plan.name}/{role}"
            tensors |= {f"{prefix}/weights/{name}": value for name, value in network.state_dict().items()}
            state = model.optimisers[role].state_dict()
            groups[prefix] = state["param_groups"]
            for index, values in state["state"].items():
                tensors |= {f"{prefix}/optimiser/{index}/{name}": value for name, value in values.items()}
    return tensors, groups


def _scatter(state: WeightFile, models: Sequence[Model], path: Path) -> None:
    """Put what `_gather` collected back into place."""
    try:
        for model in models:
            for role, network in model.networks.items():
                prefix = f"{model.plan.name}/{role}"
                network.load_state_dict(below(state.tensors, f"{prefix}/weights/"))
                slots: dict[int, dict[str, torch.Tensor]] = {}
                for name, value in below(state.tensors, f"{prefix}/optimiser/").items():
                    slot, _, key = name.partition("/")
                    slots.setdefault(int(slot), {})[key] = value
                groups = state.header["optimisers"][prefix]
                model.optimisers[role].load_state_dict({"state": slots, "param_groups": groups})
        torch.set_rng_state(state.tensors["random/cpu"])
        for index in range(torch.cuda.device_count()):
            if f"random/cuda{index}" in state.tensors:
                torch.cuda.set_rng_state(state.tensors[f"random/cuda{index}"], index)
    except (KeyError, RuntimeError, ValueError) as error:
        raise DamagedWeightsError(f"{path} does not fit the networks of this experiment") from error


def below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Give the tensors whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
