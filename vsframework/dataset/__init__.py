"""Raw fields to aligned, denoised patches (the paper's Fig. 2 a to c)."""

from __future__ import annotations

from pathlib import Path

from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.fanout import HERE, Workers

__all__ = ["PatchDataset", "build", "forget_parts", "input_files"]


def input_files(experiment: Experiment, folder: Path) -> list[Path]:
    """List the raw files that the dataset of `experiment` is built from; `folder` is where the experiment file lies.

    Raises
    ------
    UsageError
        When there are none.
    """
    root = folder / experiment.data.root
    if experiment.data.layout == "mccallum-crops":
        from vsframework.dataset.measured_crops import find_crops, labels_path

        return [labels_path(experiment.data, root), *(path for _, path in find_crops(root))]
    from vsframework.dataset.layouts import find_fields
    from vsframework.images import files_of

    fields = find_fields(experiment.data, root)
    found = {file for field in fields for path in field.files for file in files_of(path)}
    if experiment.data.plate_table:
        found.add(root / experiment.data.plate_table)
    return sorted(found)


def build(experiment: Experiment, folder: Path, out: Path, workers: Workers = HERE) -> PatchDataset:
    """Build the dataset of `experiment` into `out`; `folder` is where the experiment file lies.

    `workers` do the work, except for crops with measured values (``mccallum-crops``), which are merely read.
    """
    if experiment.data.layout == "mccallum-crops":
        from vsframework.dataset.measured_crops import build_measured_crops

        return build_measured_crops(experiment, folder, out)
    from vsframework.dataset.builder import build_dataset

    return build_dataset(experiment, folder, out, workers=workers)


def forget_parts(out: Path) -> None:
    """Remove what a stopped build of the dataset `out` has finished, so that the next begins from nothing."""
    from vsframework.dataset.parts import Parts

    Parts(out).remove()
