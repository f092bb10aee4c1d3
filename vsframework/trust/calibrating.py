"""The stage between training and evaluation: learn the gates' limits, and calibrate the intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from vsframework.config import Experiment, Selection
from vsframework.errors import UsageError, VsfError
from vsframework.interfaces import Gate, Quantifier
from vsframework.plugins import registry
from vsframework.progress import track
from vsframework.trust.conformal import calibrate_interval
from vsframework.trust.difficulty import difficulties, fit_difficulty
from vsframework.trust.judging import Verdicts, build_gate, judge_values
from vsframework.trust.learning import Learnt, Usual, Values, learn
from vsframework.trust.table import (
    Gates,
    GateTable,
    Intervals,
    MeasureLimits,
    QuantityTrust,
    Trust,
    weights_hash,
)

if TYPE_CHECKING:
    from vsframework.dataset.store import PatchDataset

BATCH_SIZE = 16
"""Patches looked at at a time; bounds memory and has no influence on the result."""

MOST_CELLS = 512
"""The difficulty is fitted on at most this many cells, spread evenly: staining more takes long and changes little."""

NO_DONORS = (
    "no donor was kept for calibrating: set [split] calibration_donors to donors that are neither tested on nor "
    "trained on, and train again"
)


class Stainer(Protocol):
    """What a calibration needs of a stainer (`vsframework.inference.Stainer` is one)."""

    @property
    def experiment(self) -> Experiment:
        """What the run was trained with."""

    @property
    def quantifier(self) -> Quantifier:
        """Measures stains."""

    @property
    def stains(self) -> Sequence[str]:
        """Names of the channels that `stain` gives."""

    @property
    def info(self) -> Mapping[str, Any]:
        """What the weights say about themselves; ``dataset_hash`` is of the dataset they were trained on."""

    def stain(self, brightfield: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Give the stains [N, C, H, W], counts, of `brightfield` [N, P, H, W], counts."""


def calibrate(dataset: PatchDataset, run: Path, stainer: Stainer) -> Trust:
    """Learn the limits of the gates and calibrate the intervals of a trained run, and write ``trust.json``.

    Limits come from the accepted cells of the donors trained on. The expected error is fitted on the validation donors
    (in-sample on the donors trained on, where there are none), the intervals on the calibration donors; nothing looks
    at a test donor.

    Raises
    ------
    UsageError
        When a gate is not installed, a donor is missing, or one of the test donors is to be calibrated on.
    VsfError
        When the dataset is not the one trained on, or there are too few cells to learn from.
    """
    experiment = stainer.experiment
    if stainer.info.get("dataset_hash", dataset.info["hash"]) != dataset.info["hash"]:
        raise VsfError(f"the dataset in {dataset.path} has changed since this run was trained on it; train again")
    split, settings = experiment.split, experiment.trust
    refuse_test_donors(split.calibration_donors, split.test_donors)
    full_scale = float(2**dataset.bit_depth - 1)
    gates = [build_gate(selection) for selection in settings.gates]
    training = dataset.accepted(exclude=split.held_out)
    values = measure_gates(gates, dataset, training["patch"].to_numpy(int), full_scale)
    learnt = learn(gates, values, training["donor"].astype(str).tolist(), settings.false_alarms)
    tables = tuple(gate_table(*item, learnt.reach) for item in zip(settings.gates, gates, learnt.usual, strict=True))

    def looked_at(donors: Sequence[str] | None, most: int | None = None) -> _Cells:
        cells = dataset.accepted(donors=donors) if donors else dataset.accepted(exclude=split.held_out)
        if most is not None and len(cells) > most:
            cells = cells.iloc[np.linspace(0, len(cells) - 1, most).round().astype(int)]
        return _look(cells, gates, tables, dataset, stainer, full_scale)

    fitted_on: Literal["validation donors", "training donors"] = (
        "validation donors" if split.validation_donors else "training donors"
    )
    fitting = looked_at(split.validation_donors, MOST_CELLS)
    calibrating = looked_at(split.calibration_donors) if split.calibration_donors else None
    quantities = []
    for quantity in stainer.quantifier.quantities:
        if quantity.name not in dataset.cells.columns:
            continue
        scores, predicted, errors, _ = fitting.of(quantity.name)
        if not len(errors):
            continue  # the model gives this quantity for no cell, so there is no error to expect
        difficulty = fit_difficulty(scores, predicted, errors, fitted_on)
        interval = None
        if calibrating is not None:
            scores, predicted, errors, donors = calibrating.of(quantity.name)
            relative = errors / difficulties(difficulty, scores, predicted)
            interval = calibrate_interval(relative, donors, settings.coverage, settings.exchangeable)
        quantities.append(
            QuantityTrust(
                name=quantity.name,
                unit=quantity.unit,
                lowest=quantity.lowest,
                highest=quantity.highest,
                difficulty=difficulty,
                interval=interval,
            )
        )
    trust = Trust(
        weights=weights_hash(run),
        dataset=str(dataset.info["hash"]),
        full_scale=full_scale,
        planes=int(dataset.brightfield.shape[1]),
        size=dataset.size,
        gates=_gates(learnt, tables, settings.false_alarms),
        intervals=Intervals(
            coverage=settings.coverage,
            exchangeable=settings.exchangeable,
            donors=tuple(sorted(split.calibration_donors)),
            missing="" if split.calibration_donors else NO_DONORS,
        ),
        quantities=tuple(quantities),
    )
    trust.write(run)
    return trust


def refuse_test_donors(calibrating: Sequence[str], test: Sequence[str]) -> None:
    """Stop before anything is learnt from a donor that is to be judged on.

    Raises
    ------
    UsageError
        When a donor is in both.
    """
    if both := sorted(set(calibrating) & set(test)):
        raise UsageError(
            f"{', '.join(both)} is tested on, and gates or intervals that have seen a donor cannot be judged on it; "
            "take other donors"
        )


def measure_gates(
    gates: Sequence[Gate], dataset: PatchDataset, patches: npt.NDArray[np.int_], full_scale: float
) -> list[Values]:
    """Measure `patches` (rows of the dataset) with every gate: [N, M] each."""
    found: list[list[Values]] = [[] for _ in gates]
    for part in track(_parts(patches), "Looking at cells"):
        brightfield = np.asarray(dataset.brightfield.oindex[part], dtype=np.float32)
        for gate, values in zip(gates, found, strict=True):
            values.append(gate.measure(brightfield, full_scale))
    return [
        np.concatenate([np.zeros((0, len(gate.measures))), *values]) for gate, values in zip(gates, found, strict=True)
    ]


class _Cells:
    """Cells with their verdicts, and true and virtual values by quantity."""

    def __init__(self, cells: pd.DataFrame, verdicts: Verdicts, virtual: Mapping[str, Values]) -> None:
        self._cells = cells
        self._verdicts = verdicts
        self._virtual = virtual

    def of(self, quantity: str) -> tuple[Values, Values, Values, list[str]]:
        """Give gate scores, virtual values, absolute errors and donors of the cells that would get a number."""
        virtual = self._virtual[quantity]
        errors = np.abs(virtual - self._cells[quantity].to_numpy(float))
        kept = self._verdicts.answered & np.isfinite(errors)
        donors = self._cells["donor"].astype(str).to_numpy()[kept].tolist()
        return self._verdicts.scores[kept], virtual[kept], errors[kept], donors


def _look(
    cells: pd.DataFrame,
    gates: Sequence[Gate],
    tables: Sequence[GateTable],
    dataset: PatchDataset,
    stainer: Stainer,
    full_scale: float,
) -> _Cells:
    patches = cells["patch"].to_numpy(int)
    verdicts = judge_values(tables, measure_gates(gates, dataset, patches, full_scale), len(patches))
    virtual: dict[str, list[Values]] = {quantity.name: [] for quantity in stainer.quantifier.quantities}
    for part in track(_parts(patches), "Staining"):
        stains = stainer.stain(np.asarray(dataset.brightfield.oindex[part], dtype=np.float32))
        for name, values in stainer.quantifier.measure(stains, stainer.stains).items():
            virtual[name].append(np.asarray(values, dtype=np.float64))
    joined = {name: np.concatenate([np.zeros(0), *values]) for name, values in virtual.items()}
    return _Cells(cells, verdicts, joined)


def _parts(patches: npt.NDArray[np.int_]) -> list[npt.NDArray[np.int_]]:
    return [patches[start : start + BATCH_SIZE] for start in range(0, len(patches), BATCH_SIZE)]


def _gates(learnt: Learnt, tables: tuple[GateTable, ...], false_alarms: float) -> Gates:
    return Gates(
        false_alarms=false_alarms,
        reach=learnt.reach,
        cells=learnt.cells,
        out_of_bounds=learnt.out_of_bounds,
        donors=tuple(learnt.left_out),
        left_out=dict(learnt.left_out),
        table=tables,
    )


def gate_table(selection: Selection, gate: Gate, usual: Usual, reach: float) -> GateTable:
    """Write down what `gate` accepts: `reach` times the tails of its `usual` cells."""
    plugin = registry().find("gate", selection.name).plugin
    together = bool(gate.together)
    measures = []
    for column, measure in enumerate(gate.measures):
        middle, below, above = (float(values[column]) for values in (usual.middle, usual.below, usual.above))
        learnt_high = middle + reach * above if measure.too_high else None
        measures.append(
            MeasureLimits(
                name=measure.name,
                unit=measure.unit,
                too_low=measure.too_low,
                too_high=measure.too_high,
                middle=middle,
                below=below,
                above=above,
                low=middle - reach * below if measure.too_low and measure.at_most is None and not together else None,
                high=None if together else measure.at_most if measure.at_most is not None else learnt_high,
            )
        )
    return GateTable(
        name=selection.name,
        version=gate.version,
        distribution=plugin.distribution,
        distribution_version=plugin.version,
        parameters=dict(selection.params),
        together=gate.together,
        measures=tuple(measures),
        precision=None if usual.precision is None else tuple(map(tuple, usual.precision.tolist())),
        limit=reach * usual.distance if together else None,
    )
