"""Weights on disk: one safetensors file per state, its description as JSON in the file's own header.

Nothing is ever unpickled, and a file is there whole or not at all.
"""

from __future__ import annotations

import contextlib
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
from vsframework.training.state import TrainingState, below

__all__ = [
    "FINAL",
    "Checkpoints",
    "DamagedWeightsError",
    "WeightFile",
    "below",
    "read_header",
    "read_weights",
    "training_identity",
    "write_weights",
]

HEADER_KEY = "vsframework"
FORMAT_VERSION = 1
KEPT = 2
"""How many checkpoints of a training are kept: the older one is there in case the newest is damaged."""
FINAL = "final/generators.safetensors"
"""The trained generators, in the folder of checkpoints; there when training has ended."""

# what does not change the weights after a given number of epochs
NOT_IDENTIFYING = (
    "epochs",
    "checkpoint_every",
    "checkpoint_steps",
    "accelerator",
    "devices",
    "channels_last",
    "compile",
    "memory_gib",
)

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
    generator
        Which networks are trained: ``name``, ``distribution`` and ``version`` of their plugin.
    """

    def __init__(self, folder: Path, identity: str, generator: Mapping[str, Any]) -> None:
        self.folder = folder
        self.identity = identity
        self.generator = {key: generator[key] for key in ("name", "distribution", "version")}

    @property
    def final(self) -> Path:
        """Where the trained generators are, once training has ended."""
        return self.folder / FINAL

    def is_finished(self, epochs: int) -> bool:
        """Whether the final generators are those of a training of `epochs` epochs, or of one that stopped early.

        Raises
        ------
        VsfError
            When they belong to another experiment, dataset or version of the generator.
        """
        if not self.final.exists():
            return False
        try:
            header = read_header(self.final)
        except DamagedWeightsError as error:
            log.warning("%s; training goes on from the newest checkpoint", error)
            return False
        self._check_origin(self.final, header)
        stopped = header.get("stopped_early", False) and int(header["trained_epochs"]) <= epochs
        return stopped or int(header["epochs"]) == epochs

    def save(self, state: TrainingState) -> None:
        """Write the whole state of training, and drop all but the newest two; every process must call this."""
        tensors, values = state.gather()
        if not state.fabric.is_global_zero:
            return
        position = state.position
        name = f"epoch-{position.epoch:06d}" + (f"+{position.batch:09d}" if position.batch else "")
        header = {"kind": "training-state", **self._origin(), **values, "epoch": position.epoch}
        write_weights(self.folder / f"{name}.safetensors", tensors, header)
        states = self._states()
        for old in states[:-KEPT]:
            old.unlink()
        self._drop_best(states[-KEPT:], position.best_epoch)

    def restore(self, state: TrainingState) -> bool:
        """Load the newest good state into `state`; gives False where there is none.

        Raises
        ------
        VsfError
            When a state belongs to another experiment, dataset or version of the generator, or when every one is
            damaged.
        """
        if state.fabric.is_global_zero:
            self._drop_unfinished()
        states = self._states()
        for path in reversed(states):
            try:
                file = read_weights(path)
                self._check_origin(path, file.header)
                self._load(file, state, path)
            except DamagedWeightsError as error:
                log.warning("%s; the checkpoint before it is tried", error)
                continue
            return True
        if states:
            raise VsfError(f"none of the checkpoints in {self.folder} can be read; delete them to train from the start")
        return False

    def save_best(self, epoch: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write the weights that validated best."""
        write_weights(self._best(epoch), tensors, {"kind": "best", **self._origin(), "epoch": epoch})

    def read_best(self, epoch: int) -> dict[str, torch.Tensor]:
        """Read what `save_best` wrote after `epoch`."""
        return read_weights(self._best(epoch)).tensors

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:06d}.safetensors"

    def _drop_best(self, states: Sequence[Path], epoch: int) -> None:
        """Delete best weights that no state refers to."""
        needed = {self._best(epoch)}
        for path in states:
            with contextlib.suppress(VsfError, KeyError):
                needed.add(self._best(read_header(path)["position"]["best_epoch"]))
        for path in set(self.folder.glob("best-*.safetensors")) - needed:
            path.unlink(missing_ok=True)

    def _drop_unfinished(self) -> None:
        """Delete what a killed process had begun to write."""
        for pattern in (".epoch-*.safetensors", ".best-*.safetensors"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def _states(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.safetensors"), key=lambda path: path.stem)

    def _origin(self) -> dict[str, Any]:
        return {"identity": self.identity, "generator": self.generator}

    def _check_origin(self, path: Path, header: Mapping[str, Any]) -> None:
        generator = header.get("generator", {})
        theirs = {key: generator.get(key) for key in self.generator}
        anew = f"or train anew: 'vsf run --force', or delete {self.folder}"
        if theirs.get("name") != self.generator["name"]:
            raise VsfError(
                f"{path} belongs to another experiment or dataset: it was trained with the generator "
                f"{theirs.get('name')} and this experiment uses {self.generator['name']}; choose another output "
                f"folder, {anew}"
            )
        if header.get("identity") != self.identity:
            raise VsfError(
                f"{path} belongs to another experiment or dataset (its generator, training, split or teacher differ); "
                f"choose another output folder, {anew}"
            )
        if theirs != self.generator:
            raise VsfError(
                f"{path} was trained with {theirs.get('distribution')} {theirs.get('version')} and "
                f"{self.generator['distribution']} {self.generator['version']} is installed; install that version to "
                f"go on, {anew}"
            )

    def _load(self, file: WeightFile, state: TrainingState, path: Path) -> None:
        try:
            state.scatter(file.tensors, file.header)
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise DamagedWeightsError(f"{path} does not fit the networks of this experiment") from error


class DamagedWeightsError(VsfError):
    """A weight file is truncated, or is not one of ours."""


def training_identity(experiment: Experiment, *dataset_hashes: str) -> str:
    """Hash everything that decides the weights after a given number of epochs.

    The number of epochs itself is left out, so that a training can be prolonged, unless the learning rate falls
    towards the last one or statistics are held from a share of it on. `dataset_hashes` are of the dataset and, where
    there are such, of the weak dataset, the teacher and what it stains.
    """
    tables = experiment.tables()
    training = {key: value for key, value in tables["training"].items() if key not in NOT_IDENTIFYING}
    quantifier = tables["quantifier"] if experiment.measures_in_training else None
    weak = {**tables["weak"], "dataset": None}  # which cells these are, their hash says
    sections = [tables[name] for name in ("generator", "objective", "split", "augmentation")]
    if experiment.split.validation_donors:
        sections.append(tables["validation"])
    if experiment.training.schedule != "constant" or experiment.training.mode == "deploy":
        # the learning rate, or when statistics are held, depends on where training ends
        sections.append({"epochs": experiment.training.epochs})
    if experiment.distillation.teacher:  # who that is, and which cells these are, their hashes say
        sections.append({**tables["distillation"], "teacher": None, "dataset": None})
    decisive = [*sections, training, weak, quantifier, *dataset_hashes]
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
