"""Raw fields to aligned, denoised patches (the paper's Fig. 2 a to c)."""

from __future__ import annotations

from pathlib import Path

from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset

__all__ = ["PatchDataset", "build"]


def build(experiment: Experiment, folder: Path, out: Path) -> PatchDataset:
    """Build the dataset of `experiment` into `out`; `folder` is where the experiment file lies."""
    if experiment.data.layout == "mccallum-crops":
        from vsframework.dataset.measured_crops import build_measured_crops

        return build_measured_crops(experiment, folder, out)
    from vsframework.dataset.builder import build_dataset

    return build_dataset(experiment, folder, out)
