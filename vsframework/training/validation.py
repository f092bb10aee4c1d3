"""Held-out donors in training: how well the generators of the moment measure on cells they have never seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vsframework.dataset.planes import middle_plane
from vsframework.dataset.store import PatchDataset
from vsframework.errors import VsfError
from vsframework.interfaces import Quantifier, Quantity
from vsframework.training.normalisation import Normalisation

BATCH = 16
STRIP_CELLS = 4
"""Cells that are shown in TensorBoard."""

Stainers = Sequence[tuple[tuple[int, ...], nn.Module]]
"""Networks, each with the places of its stains among the channels of the dataset."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How far virtual stains are from the true ones.

    Attributes
    ----------
    l1
        Mean absolute error per pixel, in [-1, 1].
    quantity_error
        Mean absolute error per cell of the quantifier's first quantity, in its unit.
    """

    l1: float
    quantity_error: float


class Watched:
    """Cells on which generators are judged. None of them is ever trained on unless the caller says so.

    Parameters
    ----------
    dataset
        With fluorescence images.
    donors
        Whose accepted cells.
    normalisation
        That of training.
    quantifier
        Its first quantity is compared.
    limit
        Take at most this many cells, evenly spread; None for all.

    Raises
    ------
    UsageError
        When a donor has no cell in the dataset.
    VsfError
        When none of their cells was accepted.
    """

    def __init__(
        self,
        dataset: PatchDataset,
        donors: Sequence[str],
        normalisation: Normalisation,
        quantifier: Quantifier,
        limit: int | None = None,
    ) -> None:
        rows: npt.NDArray[np.int64] = dataset.accepted(donors)["patch"].to_numpy(dtype=np.int64)
        if not len(rows):
            raise VsfError(f"no cell of donor {', '.join(donors)} in {dataset.path} was accepted; choose another donor")
        if limit is not None and len(rows) > limit:
            rows = rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]
        self._rows = rows
        self._dataset = dataset
        self._normalisation = normalisation
        self._quantifier = quantifier

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def quantity(self) -> Quantity:
        """What is compared."""
        return self._quantifier.quantities[0]

    def score(self, stainers: Stainers, device: torch.device, batch: int = BATCH) -> Score:
        """Stain every cell with `stainers`, in the mode that they are in, and compare."""
        pixels, errors, count = 0.0, 0.0, 0
        for brightfield, stains in self._parts(batch):
            images = self._normalisation.brightfield_to_input(brightfield)
            output = stained(stainers, images, device, stains.shape[1])
            target = self._normalisation.stains_to_target(stains)
            pixels += float(np.abs(output - target).mean(dtype=np.float64)) * len(stains)
            virtual, true = self._measure(self._normalisation.output_to_counts(output)), self._measure(stains)
            errors += float(np.abs(virtual - true).sum(dtype=np.float64))
            count += len(stains)
        return Score(l1=pixels / count, quantity_error=errors / count)

    def strip(self, stainers: Stainers, device: torch.device) -> npt.NDArray[np.float32]:
        """Give a picture [H, W] in [0, 1]: a row per cell; middle plane, then each stain true and virtual."""
        brightfield, stains = next(self._parts(STRIP_CELLS))
        images = self._normalisation.brightfield_to_input(brightfield)
        output = stained(stainers, images, device, stains.shape[1])
        target = self._normalisation.stains_to_target(stains)
        columns = [
            images[:, middle_plane(images.shape[1])],
            *(part[:, index] for index in range(stains.shape[1]) for part in (target, output)),
        ]
        rows = np.concatenate(columns, axis=2)
        strip: npt.NDArray[np.float32] = ((rows.reshape(-1, rows.shape[2]) + 1) / 2).clip(0, 1).astype(np.float32)
        return strip

    def _parts(self, size: int) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        assert self._dataset.denoised is not None
        for start in range(0, len(self._rows), size):
            rows = self._rows[start : start + size]
            brightfield = np.asarray(self._dataset.brightfield.oindex[rows])
            yield brightfield, np.asarray(self._dataset.denoised.oindex[rows])

    def _measure(self, counts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        values = self._quantifier.measure(counts, self._dataset.stains)[self.quantity.name]
        return np.asarray(values, dtype=np.float64)


def stained(
    stainers: Stainers, brightfield: npt.NDArray[np.float32], device: torch.device, channels: int
) -> npt.NDArray[np.float32]:
    """Stain `brightfield` [N, P, H, W] in [-1, 1]: float32 [N, `channels`, H, W] in [-1, 1]."""
    output = np.empty((len(brightfield), channels, *brightfield.shape[2:]), dtype=np.float32)
    images = torch.from_numpy(brightfield).to(device)
    with torch.inference_mode():
        for places, network in stainers:
            output[:, list(places)] = network(images).float().cpu().numpy()
    return output
