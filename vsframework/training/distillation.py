"""A trained generator of another run as the teacher of a smaller one.

The student is asked for the teacher's stains beside the true ones, on its own patches and, where there are such, on
brightfield that was never stained. What the teacher has learned from a donor comes through to the student, so a teacher
that has seen the student's held-out donors is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.errors import UsageError, VsfError
from vsframework.training.checkpoints import FINAL
from vsframework.training.data import joining_rows, require_same_patches, training_cells
from vsframework.training.normalisation import Normalisation
from vsframework.training.trained import TrainedGenerators, load_generators

UNLABELLED_STREAM = 1 << 41
"""Keeps the order of unlabelled cells apart from that of the others."""


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """What ``[distillation]`` names: the teacher, and brightfield without stains (None: none)."""

    teacher: Teacher
    unlabelled: PatchDataset | None = None

    @property
    def hashes(self) -> list[str]:
        """What decides the student's weights."""
        cells = [] if self.unlabelled is None else [f"unlabelled {self.unlabelled.info['hash']}"]
        return [f"teacher {self.teacher.sha256}", *cells]


class Teacher:
    """The generators of a trained run in deploy mode.

    Attributes
    ----------
    run
        Its folder.
    sha256
        Of its weights.
    """

    def __init__(self, trained: TrainedGenerators, run: Path, sha256: str) -> None:
        self.run = run
        self.sha256 = sha256
        self._trained = trained
        self._scales: tuple[float, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Say who it is, as JSON values."""
        info = self._trained.info
        return {"run": self.run.name, "sha256": self.sha256, "generator": info["generator"], "donors": self.donors}

    @property
    def donors(self) -> dict[str, list[str]]:
        """Whose stains it was trained on, and on whom its weights were chosen (`vsframework.training.finishing`)."""
        donors: dict[str, list[str]] | None = self._trained.info.get("donors")
        if donors is None:
            raise VsfError(
                f"distillation.teacher: {self.run} does not say whose cells it was trained on; train it again"
            )
        return donors

    def set_up(
        self, experiment: Experiment, dataset: PatchDataset, normalisation: Normalisation, device: torch.device
    ) -> None:
        """Make it give the stains of `dataset` in the student's `normalisation`.

        Raises
        ------
        UsageError
            When its stains, patches or camera differ, or when it has seen a donor that `experiment` holds out.
        """
        info = self._trained.info
        for what, theirs, ours in (
            ("the stains {}", ", ".join(info["stains"]), ", ".join(dataset.stains)),
            ("patches of {} px", info["image_size"], dataset.size),
            ("{} brightfield planes", info["in_channels"], len(dataset.planes)),
            ("{} bits per pixel", info["bit_depth"], dataset.bit_depth),
        ):
            if theirs != ours:
                raise UsageError(
                    f"distillation.teacher: {self.run} was trained with {what.format(theirs)} and {dataset.path} has "
                    f"{what.format(ours)}; choose a teacher of the same kind of patches"
                )
        self._refuse_leakage(experiment)
        own = Normalisation.from_json(info["normalisation"]).stain_full_scale
        self._scales = tuple(a / b for a, b in zip(own, normalisation.stain_full_scale, strict=True))
        for network in self._trained.networks:
            network.to(device)

    def _refuse_leakage(self, experiment: Experiment) -> None:
        split = experiment.split
        trained = set(self.donors["trained_on"]) & set(split.held_out)
        # on validation donors the student's weights are chosen as well; nothing else may be decided there
        chosen = set(self.donors["chosen_on"]) & (set(split.held_out) - set(split.validation_donors))
        if (trained or chosen) and not experiment.distillation.allow_leakage:
            how = "trained" if trained else "chosen"
            raise UsageError(
                f"distillation.teacher: {self.run} was {how} on {', '.join(sorted(trained or chosen))}, which this "
                "experiment holds out, so nothing measured there would be about a new donor (leakage); choose a "
                "teacher that has not seen them, or set distillation.allow_leakage = true"
            )

    def __call__(self, brightfield: torch.Tensor) -> torch.Tensor:
        """Stain `brightfield` [N, planes, H, W]: [N, C, H, W] in [-1, 1] of the student's normalisation."""
        with torch.no_grad():
            output = brightfield.new_empty((len(brightfield), len(self._scales), *brightfield.shape[2:]))
            for network, channels in zip(self._trained.networks, self._trained.channels, strict=True):
                output[:, list(channels)] = network(brightfield).to(output.dtype)
            scales = output.new_tensor(self._scales).view(1, -1, 1, 1)
            return ((output + 1) * scales - 1).clamp_(-1, 1)  # through counts; the student ends at its own full scale


def open_teaching(experiment: Experiment, folder: Path) -> Teaching | None:
    """Load what ``[distillation]`` names, if anything; `folder` is where the experiment file lies.

    Raises
    ------
    UsageError
        When the teacher is no run or the run of `experiment` itself, or when there is no unlabelled dataset.
    VsfError
        When the teacher is not trained yet, or damaged.
    """
    section = experiment.distillation
    if not section.teacher:
        return None
    run = folder / section.teacher
    if run.resolve() == (folder / experiment.output).resolve():
        raise UsageError(f"distillation.teacher = {section.teacher!r} is the run of this experiment itself")
    trained = load_generators(run)
    unlabelled = PatchDataset.open(folder / section.dataset) if section.dataset else None
    return Teaching(teacher=Teacher(trained, run, teacher_hash(run)), unlabelled=unlabelled)


def teaching_hashes(experiment: Experiment, folder: Path) -> list[str]:
    """Give `Teaching.hashes` without loading a network; empty without a teacher.

    Raises
    ------
    UsageError
        When there is no unlabelled dataset.
    VsfError
        When the teacher is not trained yet.
    """
    section = experiment.distillation
    if not section.teacher:
        return []
    cells = [f"unlabelled {PatchDataset.open(folder / section.dataset).info['hash']}"] if section.dataset else []
    return [f"teacher {teacher_hash(folder / section.teacher)}", *cells]


def teacher_hash(run: Path) -> str:
    """Give the SHA-256 of the trained weights of `run`.

    Raises
    ------
    VsfError
        When there are none.
    """
    try:
        with (run / "checkpoints" / FINAL).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VsfError(f"distillation.teacher: {run} is not a trained run: {error.strerror or error}") from error


def load_unlabelled(
    experiment: Experiment, teaching: Teaching | None, like: PatchDataset, normalisation: Normalisation
) -> torch.Tensor | None:
    """Read the brightfield [N, planes, H, W] that only the teacher stains, in [-1, 1]; None where there is none.

    Donors that `experiment` holds out are left out. Its stains, if it has any, are not looked at.

    Raises
    ------
    UsageError
        When the experiment names a teacher and `teaching` is None, or when patches or camera differ from `like`.
    VsfError
        When no donor is left.
    """
    if teaching is None:
        if experiment.distillation.teacher:
            raise UsageError(
                f"distillation.teacher = {experiment.distillation.teacher!r} was not opened; pass it on to train()"
            )
        return None
    if teaching.unlabelled is None:
        return None
    require_same_patches("distillation.dataset", teaching.unlabelled, like)
    cells = training_cells("distillation.dataset", teaching.unlabelled, experiment)
    brightfield = np.asarray(teaching.unlabelled.brightfield.oindex[cells["patch"].to_numpy()], dtype=np.float32)
    return torch.from_numpy(normalisation.brightfield_to_input(brightfield))


def unlabelled_batches(
    images: torch.Tensor | None, steps: int, experiment: Experiment, epoch: int
) -> Iterator[torch.Tensor | None]:
    """Give the unlabelled brightfield that joins each of the `steps` batches of an epoch; None where there is none.

    A batch has ``distillation.share`` times ``training.batch_size`` cells, at least one.
    """
    if images is None:
        yield from [None] * steps
        return
    training = experiment.training
    size = max(1, round(experiment.distillation.share * training.batch_size))
    seed = training.seed * 1_000_003 + epoch + UNLABELLED_STREAM
    for rows in joining_rows(len(images), size, steps, seed):
        yield images[rows]
