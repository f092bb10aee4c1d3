"""One fold: a donor held out, everything trained on the others, and that donor's cells predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd

from vsframework.config import SplitSection
from vsframework.errors import UsageError
from vsframework.evaluation.leaks import refuse_leaks
from vsframework.evaluation.measuring import add_baselines
from vsframework.evaluation.results import read_cells
from vsframework.evaluation.runs import FOLDS, SCHEMES
from vsframework.pipeline import Run

if TYPE_CHECKING:
    from vsframework.dataset import PatchDataset

LEAVE_ONE_DONOR_OUT = SCHEMES[0]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A held-out donor, the split it is held out with, the folder of its run, and where it is evaluated."""

    donor: str
    split: SplitSection
    folder: Path
    device: str


def plan_folds(run: Run, dataset: PatchDataset, device: str = "cpu") -> list[Fold]:
    """Give a fold per donor that has an accepted cell, after making sure that no donor leaks into another's training.

    Raises
    ------
    UsageError
        With fewer than two donors, with two spellings of one, or where a fold would have nothing to say.
    """
    if dataset.denoised is None and not run.experiment.baseline.regressor:
        raise UsageError(
            f"{dataset.path} has no fluorescence to train on, and baseline.regressor = false: nothing is left to "
            f"validate; 'vsf evaluate {dataset.path}' shows its constant baseline"
        )
    donors = dataset.donors
    if len(donors) < 2:
        raise UsageError(f"{dataset.path} has cells of {', '.join(donors)} only; holding a donor out needs two donors")
    weak = run.weak_dataset()
    for donor in donors:
        refuse_leaks([donor], [*donors, *(weak.donors if weak else [])])
    inside = run.path / LEAVE_ONE_DONOR_OUT / FOLDS
    return [
        Fold(
            donor=donor,
            split=rotated(run.experiment.split, donor, donors),
            folder=inside / quote(donor, safe="").replace(".", "%2E"),
            device=device,
        )
        for donor in donors
    ]


def rotated(split: SplitSection, held_out: str, donors: Sequence[str]) -> SplitSection:
    """Hold `held_out` out of `split`; where it watched training or calibrated, the next free donor takes its place.

    So every fold has as many validation and calibration donors as the experiment says, and its test donor is none.

    Raises
    ------
    UsageError
        When no donor would be left to train on.

    Examples
    --------
    >>> split = SplitSection(validation_donors=("B",))
    >>> [rotated(split, donor, ["A", "B", "C"]).validation_donors for donor in "ABC"]
    [('B',), ('C',), ('B',)]
    """
    taken = {held_out, *split.validation_donors, *split.calibration_donors}
    start = list(donors).index(held_out)
    free = [donor for donor in (*donors[start:], *donors[:start]) if donor not in taken]
    roles = {}
    for role in ("validation_donors", "calibration_donors"):
        kept = [str(name) for name in getattr(split, role)]
        if held_out in kept:
            kept[kept.index(held_out) : kept.index(held_out) + 1] = free[:1]
            free = free[1:]
        roles[role] = tuple(kept)
    changed = SplitSection(test_donors=(held_out,), **roles)
    if not set(donors) - set(changed.held_out):
        raise UsageError(
            f"with {held_out} held out no donor is left to train on; name fewer validation or calibration donors"
        )
    return changed


def run_fold(run: Run, fold: Fold, tell: Callable[[str], object]) -> None:
    """Do what is missing of a fold: training and evaluation, or the direct regressor alone."""
    from vsframework.dataset import PatchDataset

    own = run.holding_out(fold.split, fold.folder, fold.device)
    dataset = PatchDataset.open(run.dataset_path)
    if dataset.denoised is None:
        measured_cells(run, dataset, fold)
        tell("regressor: done")
    else:
        own.go("evaluate", tell=tell)


def predicted_cells(run: Run, dataset: PatchDataset, fold: Fold) -> pd.DataFrame:
    """Give the table of the held-out donor's cells, as predicted by the fold that never saw them."""
    cells = measured_cells(run, dataset, fold) if dataset.denoised is None else read_cells(fold.folder)
    return cells[cells["donor"] == fold.donor]


def measured_cells(run: Run, dataset: PatchDataset, fold: Fold) -> pd.DataFrame:
    """Measured values with both baselines, for a dataset without fluorescence."""
    cells = dataset.accepted()[["id", "donor", "field", "patch"]].reset_index(drop=True)
    for quantity in dataset.quantities:
        cells[f"true_{quantity.name}"] = dataset.accepted()[quantity.name].to_numpy(float)
    own = run.holding_out(fold.split, fold.folder)
    add_baselines(cells, dataset, own.experiment, dataset.quantities, [fold.donor], fold.folder)
    return cells
