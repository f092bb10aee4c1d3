"""The patches that are trained on: accepted cells of the training donors, normalised, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.errors import VsfError
from vsframework.training.normalisation import Normalisation, normalisation_of


@dataclass(frozen=True, kw_only=True)
class TrainingPatches:
    """Normalised pairs.

    Attributes
    ----------
    brightfield, stains
        float32 [N, 1, H, W] and [N, C, H, W], in [-1, 1].
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
    cells = dataset.accepted(exclude=experiment.split.test_donors)
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


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[torch.Tensor]:
    """Give the batches of one epoch: indices in an order that depends on `seed` and `epoch` alone."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return list(torch.split(torch.randperm(count, generator=generator), batch_size))
