"""Where batches of patches come from: memory, or the Zarr shards on disk where memory would not do."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from vsframework.config import Experiment
from vsframework.dataset.store import PATCHES_PER_SHARD, PatchDataset
from vsframework.errors import VsfError
from vsframework.training.data import TrainingPatches, load_training_patches
from vsframework.training.normalisation import Normalisation, normalisation_of

GIB = 2**30
PREFETCHED = 4
"""Batches that a thread has ready, so that the device does not wait for the disk."""

Batch = tuple[torch.Tensor, torch.Tensor]
"""Brightfield [N, P, H, W] and stains [N, C, H, W], float32 in [-1, 1]."""


class PatchSource(Protocol):
    """Gives batches of training patches, and how counts became [-1, 1]."""

    normalisation: Normalisation

    def __len__(self) -> int:
        """How many patches there are."""

    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[Batch]:
        """Give the patches `order` names, batch by batch."""


def open_patches(experiment: Experiment, dataset: PatchDataset) -> PatchSource:
    """Open the training patches: in memory up to ``training.memory_gib``, streamed from disk above.

    Both give the same batches. Raises what :func:`vsframework.training.data.load_training_patches` does.
    """
    rows = _training_rows(experiment, dataset)
    if len(rows) * patch_bytes(dataset) <= experiment.training.memory_gib * GIB:
        return PatchesInMemory(load_training_patches(experiment, dataset))
    return StreamedPatches(dataset, rows, experiment)


def patch_bytes(dataset: PatchDataset) -> int:
    """Give the size of one training patch in memory: brightfield and stains, float32."""
    return 4 * (len(dataset.planes) + len(dataset.stains)) * dataset.size**2


class PatchesInMemory:
    """All patches as two tensors."""

    def __init__(self, patches: TrainingPatches) -> None:
        self.normalisation = patches.normalisation
        self._patches = patches

    def __len__(self) -> int:
        return len(self._patches)

    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[Batch]:
        """Give the patches `order` names, batch by batch."""
        for rows in order:
            yield self._patches.brightfield[rows], self._patches.stains[rows]


class StreamedPatches:
    """Patches read from the dataset's shards by a thread, a few batches ahead.

    Parameters
    ----------
    dataset
        With fluorescence images.
    rows
        Which of its patches.
    experiment
        For ``training.stain_range``; the brightest count is looked for shard by shard.
    """

    def __init__(self, dataset: PatchDataset, rows: npt.NDArray[np.int64], experiment: Experiment) -> None:
        self._dataset = dataset
        self._rows = rows
        brightest = np.max([stains.max(axis=(0, 2, 3)) for stains in self._stains_by_shard()], axis=0)
        self.normalisation = normalisation_of(
            brightest[None, :, None, None], dataset.stains, dataset.bit_depth, experiment.training.stain_range
        )

    def __len__(self) -> int:
        return len(self._rows)

    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[Batch]:
        """Give the patches `order` names, batch by batch.

        Raises
        ------
        VsfError
            When a shard cannot be read.
        """
        ready: queue.Queue[Batch | Exception | None] = queue.Queue(PREFETCHED)
        stopped = threading.Event()
        thread = threading.Thread(target=self._read_ahead, args=(order, ready, stopped), daemon=True)
        thread.start()
        try:
            while (batch := ready.get()) is not None:
                if isinstance(batch, Exception):
                    raise VsfError(f"the patches in {self._dataset.path} cannot be read: {batch}") from batch
                yield batch
        finally:
            stopped.set()
            while thread.is_alive():
                _drain(ready)
                thread.join(0.01)

    def _read_ahead(
        self,
        order: Sequence[torch.Tensor],
        ready: queue.Queue[Batch | Exception | None],
        stopped: threading.Event,
    ) -> None:
        try:
            for indices in order:
                if stopped.is_set():
                    return
                ready.put(self._read(self._rows[indices.numpy()]))
            ready.put(None)
        except Exception as error:
            ready.put(error)

    def _read(self, rows: npt.NDArray[np.int64]) -> Batch:
        assert self._dataset.denoised is not None
        brightfield = np.asarray(self._dataset.brightfield.oindex[rows])
        stains = np.asarray(self._dataset.denoised.oindex[rows])
        return (
            torch.from_numpy(self.normalisation.brightfield_to_input(brightfield)),
            torch.from_numpy(self.normalisation.stains_to_target(stains)),
        )

    def _stains_by_shard(self) -> Iterator[npt.NDArray[np.float32]]:
        assert self._dataset.denoised is not None
        for start in range(0, len(self._rows), PATCHES_PER_SHARD):
            yield np.asarray(self._dataset.denoised.oindex[self._rows[start : start + PATCHES_PER_SHARD]])


def _drain(ready: queue.Queue[Batch | Exception | None]) -> None:
    """Make room, so that a reader who waits to hand a batch over sees that it is not wanted any more."""
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        return


def _training_rows(experiment: Experiment, dataset: PatchDataset) -> npt.NDArray[np.int64]:
    rows: npt.NDArray[np.int64] = dataset.accepted(exclude=experiment.split.held_out)["patch"].to_numpy(dtype=np.int64)
    if dataset.denoised is None or not len(rows):
        return rows[:0]  # loading says what is wrong
    return rows
