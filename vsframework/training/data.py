"""What is trained on, in memory: patches with their stains, and cells of which only values were measured (weak)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.errors import UsageError, VsfError
from vsframework.interfaces import Quantity
from vsframework.training.normalisation import Normalisation, normalisation_of

if TYPE_CHECKING:
    import pandas as pd

WEAK_STREAM = 1 << 40
"""Keeps the order of weak cells apart from that of the others."""


@dataclass(frozen=True, kw_only=True)
class TrainingPatches:
    """Normalised pairs.

    Attributes
    ----------
    brightfield, stains
        float32 [N, P, H, W] and [N, C, H, W], in [-1, 1].
    normalisation
        How counts became that.
    """

    brightfield: torch.Tensor
    stains: torch.Tensor
    normalisation: Normalisation

    def __len__(self) -> int:
        return len(self.brightfield)


def load_training_patches(experiment: Experiment, dataset: PatchDataset) -> TrainingPatches:
    """Read the denoised patches of every donor that is not held out.

    Raises
    ------
    UsageError
        When a held-out donor is not in the dataset.
    VsfError
        When the dataset has no fluorescence images, or no donor is left to train on.
    """
    if dataset.denoised is None:
        raise VsfError(f"{dataset.path} has measured values but no fluorescence images, so no generator can be trained")
    cells = dataset.accepted(exclude=experiment.split.held_out)
    if cells.empty:
        raise VsfError(
            f"every accepted cell of {dataset.path} belongs to a held-out donor; shorten split.test_donors in the "
            "experiment file"
        )
    rows = cells["patch"].to_numpy()
    brightfield = np.asarray(dataset.brightfield.oindex[rows])
    stains = np.asarray(dataset.denoised.oindex[rows])
    normalisation = normalisation_of(stains, dataset.stains, dataset.bit_depth, experiment.training.stain_range)
    return TrainingPatches(
        brightfield=torch.from_numpy(normalisation.brightfield_to_input(brightfield)),
        stains=torch.from_numpy(normalisation.stains_to_target(stains)),
        normalisation=normalisation,
    )


@dataclass(frozen=True, kw_only=True)
class WeakBatch:
    """Cells without images of their stains.

    Attributes
    ----------
    brightfield
        float32 [N, P, H, W], in [-1, 1].
    measured
        What was measured on their stains: quantities by name, float32 [N], in the unit of a patch's own.
    """

    brightfield: torch.Tensor
    measured: dict[str, torch.Tensor]

    def __len__(self) -> int:
        return len(self.brightfield)

    def to(self, device: torch.device) -> WeakBatch:
        """Copy it to `device`."""
        return WeakBatch(
            brightfield=self.brightfield.to(device),
            measured={name: values.to(device) for name, values in self.measured.items()},
        )

    def part(self, rows: torch.Tensor) -> WeakBatch:
        """Give the cells `rows`."""
        return WeakBatch(
            brightfield=self.brightfield[rows],
            measured={name: values[rows] for name, values in self.measured.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What the teacher says about one batch.

    Attributes
    ----------
    stains
        Its stains of the patches of the batch, [N, C, H, W] in [-1, 1] of the student's normalisation.
    unlabelled
        Brightfield [M, planes, H, W] that has no other stains, and the teacher's [M, C, H, W]; None without.
    """

    stains: torch.Tensor
    unlabelled: tuple[torch.Tensor, torch.Tensor] | None = None


def open_weak_dataset(experiment: Experiment, folder: Path) -> PatchDataset | None:
    """Open the dataset that ``weak.dataset`` names, if any; `folder` is where the experiment file lies.

    Raises
    ------
    UsageError
        When there is no dataset.
    """
    name = experiment.weak.dataset
    return PatchDataset.open(folder / name) if name else None


def load_weak_targets(
    experiment: Experiment,
    weak: PatchDataset | None,
    like: PatchDataset,
    normalisation: Normalisation,
    quantities: Sequence[Quantity],
) -> WeakBatch | None:
    """Read the cells of `weak` whose donor is not held out, to be trained on beside those of `like`.

    `weak` is what :func:`open_weak_dataset` gave; None where the experiment names none, and so is the result.

    A quantity of unit "1" is taken as it is. One with a unit is a sum over pixels: measured over a square of
    ``weak.crop_px``, it is ``(patch px / crop px) ** 2`` times as large in a patch that shows the same square.

    Raises
    ------
    UsageError
        When the experiment names a dataset and `weak` is None, when its patches or camera differ from those of `like`,
        or when ``weak.crop_px`` is needed and missing.
    VsfError
        When a quantity was not measured, a value is no number, or no donor is left to train on.
    """
    if weak is None:
        if experiment.weak.dataset:
            raise UsageError(f"weak.dataset = {experiment.weak.dataset!r} was not opened; pass it on to train()")
        return None
    require_same_patches("weak.dataset", weak, like)
    cells = training_cells("weak.dataset", weak, experiment)
    known = [quantity.name for quantity in weak.quantities]
    measured = {}
    for quantity in quantities:
        if quantity.name not in known or quantity.name not in cells:
            raise VsfError(
                f"{weak.path} (weak.dataset) has no measured {quantity.name}; it has {', '.join(known)}, so choose "
                "among these in objective.quantities"
            )
        values = cells[quantity.name].to_numpy(dtype=np.float64)
        wrong = cells["id"][~np.isfinite(values)]
        if len(wrong):
            raise VsfError(f"{weak.path} (weak.dataset): {quantity.name} of cell {wrong.iloc[0]} is not a number")
        measured[quantity.name] = torch.from_numpy((values * _factor(experiment, quantity, weak.size)).astype("f4"))
    brightfield = np.asarray(weak.brightfield.oindex[cells["patch"].to_numpy()], dtype=np.float32)
    return WeakBatch(brightfield=torch.from_numpy(normalisation.brightfield_to_input(brightfield)), measured=measured)


def require_same_patches(key: str, other: PatchDataset, like: PatchDataset) -> None:
    """Make sure that the dataset `other`, which `key` of the experiment names, shows cells as `like` does.

    Raises
    ------
    UsageError
        When its patches or camera differ.
    """
    for what, theirs, ours in (
        ("patches of {} px", other.size, like.size),
        ("{} brightfield planes", len(other.planes), len(like.planes)),
        ("{} bits per pixel", other.bit_depth, like.bit_depth),
    ):
        if theirs != ours:
            raise UsageError(
                f"{key}: {other.path} has {what.format(theirs)} and {like.path} has {what.format(ours)}; "
                "build it for the same camera with the same patches.size"
            )


def training_cells(key: str, other: PatchDataset, experiment: Experiment) -> pd.DataFrame:
    """Give the accepted cells of `other`, which `key` of the experiment names, without those of held-out donors.

    Raises
    ------
    VsfError
        When none is left.
    """
    held_out = sorted(set(experiment.split.held_out) & set(other.cells["donor"]))
    cells = other.accepted(exclude=held_out)
    if cells.empty:
        raise VsfError(f"every accepted cell of {other.path} ({key}) belongs to a held-out donor")
    return cells


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[torch.Tensor]:
    """Give the batches of one epoch: indices in an order that depends on `seed` and `epoch` alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return list(torch.split(torch.randperm(count, generator=generator), batch_size))


def weak_batches(
    targets: WeakBatch | None, steps: int, experiment: Experiment, epoch: int
) -> Iterator[WeakBatch | None]:
    """Give the weak cells that join each of the `steps` batches of an epoch; None for each where there are none.

    A batch has ``weak.share`` times ``training.batch_size`` cells, at least one. Their order depends on the seed and
    `epoch` alone, and within an epoch no cell comes again before all others have come.
    """
    if targets is None:
        yield from [None] * steps
        return
    size = max(1, round(experiment.weak.share * experiment.training.batch_size))
    seed = experiment.training.seed * 1_000_003 + epoch + WEAK_STREAM
    for rows in joining_rows(len(targets), size, steps, seed):
        yield targets.part(rows)


def joining_rows(count: int, size: int, steps: int, seed: int) -> Iterator[torch.Tensor]:
    """Give `size` of `count` cells for each of `steps`; no cell comes again before all others have come."""
    generator = torch.Generator().manual_seed(seed)
    rounds = -(-steps * size // count)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(rounds)])
    yield from torch.split(order[: steps * size], size)


def _factor(experiment: Experiment, quantity: Quantity, size: int) -> float:
    if quantity.unit == "1":
        return 1.0
    crop_px = experiment.weak.crop_px
    if crop_px is None:
        raise UsageError(
            f"weak.crop_px is missing: {quantity.name} is a sum over pixels, so say over how large a square it was "
            "taken (for McCallum et al. 2019: 150), or train on the DFI alone"
        )
    return (size / crop_px) ** 2
