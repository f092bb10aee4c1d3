"""Patches to trained generators (the paper's Fig. 2 d).

``objective``: what is minimised. ``models``: networks, optimisers and one step of them. ``data``: the patches, and
``normalisation``: counts to [-1, 1]. ``loop``: epochs. ``calibration``: statistics for measuring after the paper's
mode, ``fixed_statistics``: those of deploy mode. ``distillation``: a trained run as teacher. ``checkpoints``: weights
on disk, ``trained``: generators read back from there. ``records``: what is told on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vsframework.config import Experiment
    from vsframework.dataset.store import PatchDataset
    from vsframework.training.distillation import Teaching


def train(
    experiment: Experiment,
    dataset: PatchDataset,
    run: Path,
    weak: PatchDataset | None = None,
    teaching: Teaching | None = None,
) -> None:
    """Train the generators of `experiment` on `dataset` into the folder `run` (see `vsframework.training.loop`)."""
    from vsframework.training.loop import train as train_now

    train_now(experiment, dataset, run, weak, teaching)
