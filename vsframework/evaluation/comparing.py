"""Comparisons between any number of models: named tests over donors, corrected for how many there are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import pandas as pd
from pydantic import BaseModel, ConfigDict
from scipy import stats

from vsframework.evaluation.intervals import GainInterval, gain_interval
from vsframework.evaluation.metrics import Value
from vsframework.interfaces import FloatArray

TESTS: Mapping[str, Callable[[FloatArray, FloatArray], float]] = {
    "Student's unpaired t": lambda first, second: float(stats.ttest_ind(first, second).pvalue),
    "paired t": lambda first, second: float(stats.ttest_rel(first, second).pvalue),
    "Wilcoxon signed-rank": lambda first, second: float(stats.wilcoxon(first, second).pvalue),
}
"""The paper's test ignores that the donors are the same ones; the other two use it. All two-sided."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Method(_Result):
    """One model of a comparison: its error per donor (in the order of `Comparison.donors`), mean and S.D. (n - 1)."""

    name: str
    errors: tuple[float, ...]
    mean: float
    sd: Value


class Outcome(_Result):
    """What a test says: p as it is, and by Holm for all pairs under this test; NaN where it cannot be computed."""

    test: str
    p: Value
    p_holm: Value


class Pair(_Result):
    """Two models: `gain` is the mean error of `first` minus that of `second`, positive where `second` is better.

    `interval` is the bootstrap interval of that gain, clustered by donor; None for one donor without cells.
    """

    first: str
    second: str
    gain: float
    interval: GainInterval | None
    tests: tuple[Outcome, ...]


class Comparison(_Result):
    """Everything ``vsf compare`` found; `notes` are sentences that a reader must know."""

    metric: str
    quantity: str
    unit: str
    donors: tuple[str, ...]
    methods: tuple[Method, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()

    def pair_table(self) -> pd.DataFrame:
        """Give one row per pair and test, flat, for a CSV file."""
        rows = []
        for pair in self.pairs:
            low, high = (pair.interval.gain_low, pair.interval.gain_high) if pair.interval else (math.nan, math.nan)
            named = {"first": pair.first, "second": pair.second, "gain": pair.gain, "gain_low": low, "gain_high": high}
            rows += [{**named, **outcome.model_dump()} for outcome in pair.tests]
        return pd.DataFrame(rows)


def compare(
    errors: Mapping[str, Mapping[str, FloatArray]],
    *,
    metric: str = "mae",
    quantity: str = "",
    unit: str = "1",
    notes: Sequence[str] = (),
) -> Comparison:
    """Compare models in pairs over the same donors.

    Parameters
    ----------
    errors
        Name of the model to donor to the errors of its cells [n], the same cells for every model; or to the one mean
        error [1] of the donor, where no more is known.
    metric, quantity, unit, notes
        Carried along.

    Raises
    ------
    ValueError
        When there are fewer than two models, no donors, or the models differ in donors or cells.
    """
    names = list(errors)
    donors = list(errors[names[0]]) if names else []
    shapes = [{donor: len(cells) for donor, cells in of.items()} for of in errors.values()]
    if len(names) < 2 or not donors or any(shape != shapes[0] for shape in shapes) or 0 in shapes[0].values():
        raise ValueError("a comparison needs two models or more, with the same cells of the same donors")
    table = pd.DataFrame({name: {donor: float(errors[name][donor].mean()) for donor in donors} for name in names})
    chosen = list(combinations(names, 2))
    raw = {
        test: [_p(run, table[first].to_numpy(), table[second].to_numpy()) for first, second in chosen]
        for test, run in TESTS.items()
    }
    corrected = {test: holm(found) for test, found in raw.items()}
    pairs = [
        Pair(
            first=first,
            second=second,
            gain=float(table[first].mean() - table[second].mean()),
            interval=_interval(errors[first], errors[second]),
            tests=tuple(Outcome(test=test, p=raw[test][at], p_holm=corrected[test][at]) for test in TESTS),
        )
        for at, (first, second) in enumerate(chosen)
    ]
    methods = [
        Method(
            name=name,
            errors=tuple(table[name].tolist()),
            mean=float(table[name].mean()),
            sd=float(table[name].std(ddof=1)),
        )
        for name in names
    ]
    return Comparison(
        metric=metric,
        quantity=quantity,
        unit=unit,
        donors=tuple(donors),
        methods=tuple(methods),
        pairs=tuple(pairs),
        notes=tuple(notes),
    )


def holm(found: Sequence[float]) -> list[float]:
    """Correct p values for how many there are (Holm 1979): the family-wise error stays at the level; NaN stays NaN.

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted((p, at) for at, p in enumerate(found) if not math.isnan(p))
    corrected = [math.nan] * len(found)
    largest = 0.0
    for rank, (p, at) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[at] = largest
    return corrected


def _p(test: Callable[[FloatArray, FloatArray], float], first: FloatArray, second: FloatArray) -> float:
    """Run a test; NaN for a single donor, or where no donor differs (a model compared with itself)."""
    if len(first) < 2 or (first == second).all():
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # donors that all differ by the same: p is 0 there, as it says
        return test(first, second)


def _interval(first: Mapping[str, FloatArray], second: Mapping[str, FloatArray]) -> GainInterval | None:
    if len(first) == 1 and max(len(cells) for cells in first.values()) == 1:
        return None
    return gain_interval({donor: (second[donor], first[donor]) for donor in first})
