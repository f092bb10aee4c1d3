"""The result of all folds: every cell as the model that never saw its donor predicted it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from vsframework.atomic import write_text
from vsframework.config import write_experiment
from vsframework.cross_validation.folds import LEAVE_ONE_DONOR_OUT, Fold, predicted_cells
from vsframework.evaluation.examples import choose_examples, write_examples
from vsframework.evaluation.histograms import HELD_OUT, PixelHistograms
from vsframework.evaluation.measuring import summarise
from vsframework.evaluation.results import FOLDER, Evaluation
from vsframework.evaluation.trusting import TrustResult, trust_result
from vsframework.interfaces import Quantifier, Quantity
from vsframework.pipeline import Run, machine
from vsframework.plugins import registry
from vsframework.trust import Judge

if TYPE_CHECKING:
    from vsframework.dataset import PatchDataset
    from vsframework.evaluation.measuring import Stains


def pool(run: Run, dataset: PatchDataset, folds: Sequence[Fold], started: float) -> tuple[Path, Evaluation]:
    """Write the pooled evaluation, in the form of a run's, and give its folder and the result.

    Parameters
    ----------
    started
        Monotonic time at which the cross-validation began.
    """
    folder = run.path / LEAVE_ONE_DONOR_OUT
    cells = pd.concat([predicted_cells(run, dataset, fold) for fold in folds]).sort_values("patch", ignore_index=True)
    donors = [fold.donor for fold in folds]
    quantities = [quantity for quantity in _quantities(run, dataset) if f"true_{quantity.name}" in cells]
    trust = _pooled_trust(cells, folds)
    found = summarise(cells, dataset, run.experiment, quantities, donors, started, trust)
    result = found.model_copy(update={"scheme": LEAVE_ONE_DONOR_OUT})
    (folder / FOLDER / "summary.json").unlink(missing_ok=True)  # from here on nothing of an older result counts
    write_experiment(run.experiment, folder / "config.toml")
    provenance = {"name": run.experiment.name, "scheme": LEAVE_ONE_DONOR_OUT, "donors": donors, "machine": machine()}
    write_text(folder / "provenance.json", json.dumps(provenance, indent=2))
    if dataset.denoised is not None:
        _write_pictures(folder, dataset, cells, quantities[0].name, folds)
    result.write(folder, cells)
    return folder, result


def _pooled_trust(cells: pd.DataFrame, folds: Sequence[Fold]) -> TrustResult | None:
    """Sum up what the folds' own gates and intervals did, each on the donor that its fold never saw."""
    judges = [judge for fold in folds if (judge := Judge.load(fold.folder)) is not None]
    if len(judges) < len(folds):
        return None
    # every fold has the same gates and the same nominal coverage; whom its intervals were calibrated on differs
    found = trust_result(judges[0], cells, [fold.donor for fold in folds])
    calibrated_on = sorted({donor for judge in judges for donor in judge.trust.intervals.donors})
    return found.model_copy(update={"calibrated_on": tuple(calibrated_on)})


def _quantities(run: Run, dataset: PatchDataset) -> Sequence[Quantity]:
    if dataset.denoised is None:
        return dataset.quantities
    quantifier: Quantifier = registry().create(
        "quantifier", run.experiment.quantifier.name, run.experiment.quantifier.params
    )
    return quantifier.quantities


def _write_pictures(
    folder: Path, dataset: PatchDataset, cells: pd.DataFrame, quantity: str, folds: Sequence[Fold]
) -> None:
    """Write examples, each stained by the fold that never saw its donor, and the histograms of all held-out cells."""
    from vsframework.inference import Stainer

    fold_of = {fold.donor: fold for fold in folds}
    examples = choose_examples(cells, quantity)
    donor_of = cells.set_index("patch")["donor"]
    stainers: dict[int, Stains] = {
        patch: Stainer.load(fold_of[donor_of[patch]].folder, device=fold_of[donor_of[patch]].device)
        for patch in examples.values()
    }
    write_examples(folder, dataset, stainers, examples)
    total = PixelHistograms(dataset.stains)
    for fold in folds:
        for kind, counts in PixelHistograms.read(fold.folder, HELD_OUT).counts.items():
            total.counts[kind] += counts
    total.write(folder)
