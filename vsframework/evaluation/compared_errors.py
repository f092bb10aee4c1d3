"""What a comparison is fed with: the errors of evaluated runs on the cells they share, or a table of donor rows."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from vsframework.errors import UsageError, VsfError
from vsframework.evaluation.comparing import Comparison, compare
from vsframework.evaluation.results import Evaluation, QuantityResult, read_cells
from vsframework.evaluation.runs import require_run
from vsframework.interfaces import FloatArray

METRICS = ("mae", "mape")
COLUMNS = ("method", "donor")
PRINTED_MEAN = "mean"
"""A row of a table with this in place of a donor holds the means as they were printed."""


@dataclass(frozen=True, kw_only=True)
class _Predictions:
    """Cells of held-out donors by id: donor, measured value, and one column per method."""

    unit: str
    dataset_hash: str
    cells: pd.DataFrame
    names: list[str] = field(default_factory=list)


def compare_runs(
    runs: Sequence[Path], metric: str = "mae", quantity: str | None = None, baselines: bool = False
) -> Comparison:
    """Compare evaluated runs on the held-out donors and cells that all of them have.

    Parameters
    ----------
    runs
        Run folders, or folders of a cross-validation.
    metric
        ``"mae"`` or ``"mape"``.
    quantity
        Its name; None for the first run's value of interest.
    baselines
        Add the constant and the direct regressor of the first run as models of their own.

    Raises
    ------
    UsageError
        When a run is not evaluated, stands there twice, has no such quantity, or nothing is shared.
    """
    names = [str(run) for run in runs]
    if len(set(names)) < len(names):
        raise UsageError(f"a run is compared with others, not with itself: {max(names, key=names.count)} stands twice")
    evaluations = [Evaluation.read(require_run(run)) for run in runs]
    wanted = quantity or evaluations[0].quantities[0].name
    found = [
        _predictions(run, evaluation, wanted, baselines and at == 0)
        for at, (run, evaluation) in enumerate(zip(runs, evaluations, strict=True))
    ]
    notes = []
    if len({one.dataset_hash for one in found}) > 1:
        notes.append("The runs were evaluated on different datasets; cells and donors are matched by name.")
    shared = found[0].cells
    for one in found[1:]:
        shared = shared.join(one.cells.drop(columns=["donor", "measured"]), how="inner")
    shared = shared.dropna()
    columns = [name for one in found for name in one.names]
    if len(columns) < 2:
        raise UsageError("a comparison needs two runs or more, or one run and --baselines")
    if shared.empty:
        raise UsageError(f"{' and '.join(names)} share no cell of a held-out donor, so they cannot be compared")
    left_out = len(set().union(*(one.cells.index for one in found))) - len(shared)
    if left_out:
        notes.append(f"{left_out} cells of held-out donors that not every model gave a value for are left out.")
    if len(shared["donor"].unique()) == 1:
        notes.append("With one shared held-out donor no test over donors is possible.")
    measured = shared["measured"].to_numpy(float)
    if metric == "mape":
        shared, measured = shared[measured != 0], measured[measured != 0]
    errors: dict[str, Mapping[str, FloatArray]] = {}
    for name in columns:
        error = np.abs(shared[name].to_numpy(float) - measured) / (np.abs(measured) if metric == "mape" else 1.0)
        errors[name] = {
            donor: error[(shared["donor"] == donor).to_numpy()] for donor in sorted(shared["donor"].unique())
        }
    return compare(errors, metric=metric, quantity=wanted, unit=found[0].unit, notes=notes)


def compare_table(path: Path, metric: str = "mae") -> Comparison:
    """Compare the methods of a table of donor rows: a CSV with the columns method, donor and `metric`.

    A row whose donor is ``mean`` holds means as they were printed: they are compared with their rows and used for
    nothing else.

    Raises
    ------
    UsageError
        When the table is missing, lacks a column, or its methods differ in donors.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    missing = [name for name in (*COLUMNS, metric) if not rows or name not in rows[0]]
    if missing:
        raise UsageError(f"{path} has no column {', '.join(missing)}; it needs method, donor and {metric}")
    errors: dict[str, dict[str, FloatArray]] = {}
    for row in rows:
        if row["donor"] != PRINTED_MEAN:
            errors.setdefault(row["method"], {})[row["donor"]] = np.array([_number(row[metric], path)])
    if len(errors) < 2 or any(list(of) != list(next(iter(errors.values()))) for of in errors.values()):
        raise UsageError(f"{path} needs two methods or more, each with the same donors in the same order")
    notes = ["Only means per donor are known, so intervals come from resampling donors, not cells."]
    return compare(errors, metric=metric, notes=[*notes, *_wrong_means(rows, path)])


def _predictions(run: Path, evaluation: Evaluation, wanted: str, baselines: bool) -> _Predictions:
    known: dict[str, QuantityResult] = {result.name: result for result in evaluation.quantities}
    if wanted not in known:
        raise UsageError(f"{run} has no quantity {wanted!r}; it has {', '.join(known)}")
    methods: dict[str, str] = {str(run): evaluation.method}
    if baselines:
        methods |= {"constant": "constant", "direct regressor": "regressor"}
    cells = read_cells(run).set_index("id")
    cells = cells[cells["donor"].isin(evaluation.held_out)]
    table = pd.DataFrame({"donor": cells["donor"], "measured": cells[f"true_{wanted}"]})
    for name, method in methods.items():
        if f"{method}_{wanted}" in cells and not (name != str(run) and method == evaluation.method):
            table[name] = cells[f"{method}_{wanted}"]
    names = [name for name in methods if name in table]
    unit = known[wanted].unit
    return _Predictions(unit=unit, dataset_hash=evaluation.dataset_hash, cells=table, names=names)


def _wrong_means(rows: Sequence[Mapping[str, str]], path: Path) -> list[str]:
    """Name every printed mean that its rows do not give, whatever way both were rounded."""
    found = []
    for printed in (row for row in rows if row["donor"] == PRINTED_MEAN):
        for metric in (name for name in METRICS if printed.get(name)):
            own = [
                _number(row[metric], path)
                for row in rows
                if row["method"] == printed["method"] and row["donor"] != PRINTED_MEAN
            ]
            decimals = len(printed[metric].partition(".")[2])
            if abs(float(np.mean(own)) - _number(printed[metric], path)) > 10.0**-decimals:
                found.append(
                    f"The printed mean {metric.upper()} of {printed['method']}, {printed[metric]}, is not the mean of "
                    f"its rows, {np.mean(own):.{decimals}f}."
                )
    return found


def _number(text: str, path: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise VsfError(f"{path} holds {text!r} where a number is needed")
    return value
