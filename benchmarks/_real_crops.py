"""The 1064 real crops of McCallum et al. 2019 as a dataset, for the benchmarks that hold out their donors."""

from __future__ import annotations

import json
from pathlib import Path

from vsframework.atomic import write_text
from vsframework.dataset.store import PatchDataset
from vsframework.errors import UsageError
from vsframework.pipeline import Run

CROPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "mccallum2019_crops"
CROP_PX = 150
"""Side of a crop, and of the square over which the sums were measured."""


def build_crops(folder: Path, size: int = CROP_PX) -> PatchDataset:
    """Build the crops into `folder`, patches of `size` pixels; what is there already is used.

    Raises
    ------
    UsageError
        When the crops are not on this machine.
    """
    if not CROPS.is_dir():
        raise UsageError(f"the real crops are not on this machine: {CROPS} is missing")
    experiment = folder / f"crops-{size}" / "crops.toml"
    write_text(
        experiment,
        f'name = "McCallum et al. 2019, crops"\n\n[data]\nroot = {json.dumps(str(CROPS))}\n'
        f'layout = "mccallum-crops"\n\n[patches]\nsize = {size}\n',
    )
    run = Run(experiment)
    run.go(until="dataset", tell=lambda line: None)
    return PatchDataset.open(run.dataset_path)
