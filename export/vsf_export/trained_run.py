"""Reads a run folder for an export: the generators to measure with, and all that a target must know beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import nn

from vsf_export.model_card import card_facts
from vsframework.dataset.store import PatchDataset
from vsframework.evaluation.runs import dataset_path, require_run
from vsframework.inference import Stainer
from vsframework.interfaces import ExportSpec
from vsframework.plugins import registry
from vsframework.training.checkpoints import FINAL

REFERENCE_CELLS = 32
"""Held-out cells on which every graph is compared with torch."""
CALIBRATION_CELLS = 32
"""Cells of training donors from which int8 takes its ranges."""


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """Deploy-mode generators in the order of the stains, and the spec for a target."""

    generators: Sequence[nn.Module]
    spec: ExportSpec


def load_run(run: Path) -> TrainedRun:
    """Read the run folder `run`.

    Raises
    ------
    UsageError
        When it is no run, or its dataset is gone (parity is measured on its patches).
    VsfError
        When it is not trained or damaged.
    """
    require_run(run)
    stainer = Stainer.load(run)
    experiment = stainer.experiment
    info = stainer.info
    dataset = PatchDataset.open(dataset_path(run))
    quantifier = registry().find("quantifier", experiment.quantifier.name)
    reference, cells = reference_patches(dataset, experiment.split.test_donors)
    spec = ExportSpec(
        in_channels=stainer.in_channels,
        stains=stainer.stains,
        image_size=stainer.image_size,
        stride=stainer.stride,
        brightfield_full_scale=stainer.normalisation.brightfield_full_scale,
        stain_full_scale=stainer.normalisation.stain_full_scale,
        quantifier=stainer.quantifier,
        reference=reference,
        cells=cells,
        field_px=experiment.patches.field_px,
        pixel_size_um=dataset.info.get("pixel_size_um"),
        simulated=dataset.info.get("simulated"),
        halo_px=stainer.halo,
        calibration=calibration_patches(dataset, (*experiment.split.test_donors, *experiment.split.validation_donors)),
        metadata={
            "experiment": experiment.name,
            "bit_depth": info["bit_depth"],
            "dataset_hash": info["dataset_hash"],
            "checkpoint_sha256": _sha256(run / "checkpoints" / FINAL),
            "generator": info["generator"],
            "quantifier": {
                "name": quantifier.qualified_name,
                "params": dict(experiment.quantifier.params),
                "plugin": quantifier.plugin.name,
                "distribution": quantifier.plugin.distribution,
                "version": quantifier.plugin.version,
            },
            "denoiser": experiment.denoiser.table(),
            "trained_with": info["versions"],
            "epochs": info["epochs"],
            "held_out": list(experiment.split.held_out),
            **card_facts(run, dataset),
        },
    )
    return TrainedRun(generators=stainer.generators(), spec=spec)


def reference_patches(
    dataset: PatchDataset, held_out: Sequence[str]
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Pick brightfield patches [N, P, H, W], counts, and their cells: spread over the held-out donors, or all."""
    cells = dataset.accepted()
    unseen = cells[cells["donor"].isin(list(held_out))]
    return _spread(dataset, unseen if len(unseen) else cells, REFERENCE_CELLS)


def calibration_patches(dataset: PatchDataset, held_out: Sequence[str]) -> npt.NDArray[np.float32] | None:
    """Pick brightfield patches [N, 1, H, W], counts, spread over the training donors; None where none is left."""
    seen = dataset.accepted(exclude=held_out)
    return _spread(dataset, seen, CALIBRATION_CELLS)[0] if len(seen) else None


def _spread(dataset: PatchDataset, cells: pd.DataFrame, count: int) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    picked = np.unique(np.linspace(0, len(cells) - 1, min(count, len(cells))).round().astype(int))
    chosen = cells.iloc[picked]
    patches: list[Any] = [dataset.brightfield[int(row)] for row in chosen["patch"]]
    return np.stack(patches).astype(np.float32), tuple(str(name) for name in chosen["id"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
