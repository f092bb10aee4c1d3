"""Every donor judged by a model that never saw it: one run per donor on one dataset, and their pooled result.

``folds``: what one fold is and does. ``workers``: folds in processes of their own. ``pooling``: the result of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from vsframework.errors import UsageError
from vsframework.evaluation.results import Evaluation

__all__ = ["cross_validate"]


def cross_validate(
    file: Path,
    overrides: tuple[str, ...] = (),
    *,
    workers: int = 1,
    device: str = "cpu",
    tell: Callable[[str], object] = print,
) -> tuple[Path, Evaluation]:
    """Train and evaluate the experiment once per donor, holding that donor out, and pool what comes out.

    The dataset is built once, in the experiment's run folder, and shared. Folds that are there already and up to date
    are not run again, and one that was stopped goes on from its newest checkpoint. A dataset of measured values
    without fluorescence has no virtual stains: there a fold is the direct regressor.

    Parameters
    ----------
    file, overrides
        The experiment file; its ``split.test_donors`` are not used.
    workers
        Folds run at the same time, each in a process of its own.
    device
        Of torch, for evaluating; with ``"cuda"`` and several GPUs the workers take them in turn.
    tell
        Called with one line per stage and fold.

    Returns
    -------
    folder, evaluation
        ``<run>/leave-one-donor-out``, which can be compared and reported like a run, and the pooled result.

    Raises
    ------
    UsageError
        With fewer than two donors, with donors whose names look alike, or where there is nothing to evaluate.
    VsfError
        When a fold fails; the finished ones are kept.
    """
    from vsframework.cross_validation.folds import plan_folds
    from vsframework.cross_validation.pooling import pool
    from vsframework.cross_validation.workers import run_folds
    from vsframework.dataset import PatchDataset
    from vsframework.pipeline import Run

    if workers < 1:
        raise UsageError(f"{workers} workers cannot do anything; give 1 or more")
    started = time.monotonic()
    run = Run(file, overrides)
    run.go("dataset", tell=tell)
    dataset = PatchDataset.open(run.dataset_path)
    folds = plan_folds(run, dataset, device)
    run_folds(file, overrides, folds, workers, tell)
    return pool(run, dataset, folds, started)
