"""What training cells look like to a gate, and how far from that a cell may lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vsframework.errors import VsfError
from vsframework.interfaces import Gate, GateMeasure

Values = npt.NDArray[np.float64]

TAIL = 0.025
"""The usual range of a value ends at this quantile and its mirror; 97.5 % is where few cells still say something."""

RIDGE = 0.1
"""Added to the diagonal of the correlation matrix, so that a few dozen cells give a usable inverse."""

FAR = 12.0
"""Scores of values that belong to another world stop here; keeps one of them from ruling a distance alone."""

TOO_FAR = 1e6
"""Score of a value that broke a fixed limit, or that is no number."""


@dataclass(frozen=True, kw_only=True)
class Usual:
    """Where the values [N, M] of one gate lie for usual cells.

    Attributes
    ----------
    middle, below, above
        float64 [M]: the median, and the distances from it to the tails.
    precision
        float64 [M, M] where the values are judged together, of standardised values; else None.
    distance
        The tail of the Mahalanobis distance of usual cells; 1 where values are judged one by one.
    """

    middle: Values
    below: Values
    above: Values
    precision: Values | None
    distance: float

    def stretched(self, by: Values) -> Usual:
        """Give it with longer tails: by [M], or by [1] the tail of the distance."""
        if self.precision is not None:
            return replace(self, distance=self.distance * float(by[0]))
        return replace(self, below=self.below * by, above=self.above * by)


def describe_usual(gate: Gate, values: Values) -> Usual:
    """Describe the usual cells `values` [N, M] of `gate`."""
    resolution = np.array([measure.resolution for measure in gate.measures])
    middle = np.median(values, axis=0)
    low, high = np.quantile(values, (TAIL, 1 - TAIL), axis=0)
    below, above = np.maximum(middle - low, resolution), np.maximum(high - middle, resolution)
    if not gate.together:
        return Usual(middle=middle, below=below, above=above, precision=None, distance=1.0)
    standard = standardise(values, middle, below, above)
    spread = np.cov(standard, rowvar=False, ddof=0).reshape(len(middle), len(middle))
    precision = np.asarray(np.linalg.inv(spread + RIDGE * np.eye(len(middle))), dtype=np.float64)
    usual = Usual(middle=middle, below=below, above=above, precision=precision, distance=1.0)
    tail = float(np.quantile(distances(usual, values), 1 - TAIL))
    return Usual(middle=middle, below=below, above=above, precision=precision, distance=max(tail, 1e-6))


def standardise(values: Values, middle: Values, below: Values, above: Values) -> Values:
    """Give `values` [N, M] in units of the tail on their side of the middle, -FAR to FAR."""
    away = values - middle
    return np.asarray(np.clip(away / np.where(away < 0, below, above), -FAR, FAR), dtype=np.float64)


def distances(usual: Usual, values: Values) -> Values:
    """Give the Mahalanobis distance [N] of `values` [N, M]."""
    assert usual.precision is not None
    standard = standardise(values, usual.middle, usual.below, usual.above)
    return np.asarray(np.sqrt(np.einsum("ni,ij,nj->n", standard, usual.precision, standard)), dtype=np.float64)


def learnt_scores(gate: Gate, usual: Usual, values: Values) -> Values:
    """Say how far out each cell of `values` [N, M] lies by what was learnt: 1 at the tail of the usual cells.

    [N, M], or [N, 1] where the values are judged together. Fixed limits are no part of it.
    """
    if usual.precision is not None:
        return np.nan_to_num(distances(usual, values) / usual.distance, nan=TOO_FAR)[:, None]
    away = values - usual.middle
    scores = np.zeros(values.shape)
    for column, measure in enumerate(gate.measures):
        if measure.at_most is None:
            sides = _sides(measure, away[:, column], usual.below[column], usual.above[column])
            scores[:, column] = np.nan_to_num(sides, nan=TOO_FAR)
    return scores


def _sides(measure: GateMeasure, away: Values, below: float, above: float) -> Values:
    low = -away / below if measure.too_low else np.full(len(away), -np.inf)
    high = away / above if measure.too_high else np.full(len(away), -np.inf)
    worst = np.maximum(np.maximum(low, high), 0)
    return np.where(np.isnan(away), np.nan, worst)


def breaks_fixed(gate: Gate, values: Values) -> npt.NDArray[np.bool_]:
    """Say which cells of `values` [N, M] break a limit that is not learnt, or have a value that is no number: [N]."""
    broken = ~np.isfinite(values).all(axis=1)
    for column, measure in enumerate(gate.measures):
        if measure.at_most is not None:
            broken |= values[:, column] > measure.at_most
    return np.asarray(broken, dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What the training cells taught.

    Attributes
    ----------
    usual
        Per gate, in order.
    reach
        The limits lie this many tails from the middle.
    cells, out_of_bounds
        How many cells taught something, and how many broke a fixed limit.
    left_out
        Share of each donor's cells that limits from the other donors turn away.
    """

    usual: tuple[Usual, ...]
    reach: float
    cells: int
    out_of_bounds: int
    left_out: Mapping[str, float]


def learn(gates: Sequence[Gate], values: Sequence[Values], donors: Sequence[str], false_alarms: float) -> Learnt:
    """Learn the limits of all `gates` together.

    Every cell of a training donor gets its scores by what the *other* donors look like. Where donors differ in one
    respect (the lamp, for example), the tails of that value are stretched until 95 % of those scores lie inside, so
    that one restless value does not widen the limits of all others. The reach is then the conformal quantile of each
    cell's worst score at ``1 - false_alarms``: so the budget holds for all gates together, however many there are,
    and a donor that looks different counts as a new donor would. With one donor
    the scores come from its own cells, and with fewer than ``1 / false_alarms - 1`` cells the largest score is taken;
    both promise less.

    Parameters
    ----------
    values
        Per gate, [N, M].
    donors
        Donor of each cell, [N].

    Raises
    ------
    VsfError
        When fewer than five cells are left to learn from.
    """
    inside = np.ones(len(donors), dtype=np.bool_)
    for gate, found in zip(gates, values, strict=True):
        inside &= ~breaks_fixed(gate, found)
    kept = [found[inside] for found in values]
    of_cell = np.asarray(donors, dtype=str)[inside]
    if len(of_cell) < 5:
        raise VsfError(
            f"only {len(of_cell)} training cells lie inside the fixed limits of the gates, which is too few to learn "
            "from: 5 are needed, and some hundred are good"
        )
    everyone = sorted(set(of_cell.tolist()))
    scores = [np.zeros((len(of_cell), 1 if gate.together else len(gate.measures))) for gate in gates]
    for donor in everyone:
        own = of_cell == donor
        others = ~own if len(everyone) > 1 and (~own).sum() >= 5 else own
        for gate, found, row in zip(gates, kept, scores, strict=True):
            row[own] = learnt_scores(gate, describe_usual(gate, found[others]), found[own])
    stretches = [np.maximum(np.quantile(row, 1 - 2 * TAIL, axis=0), 1) for row in scores]
    worst = np.zeros(len(of_cell))
    for row, stretch in zip(scores, stretches, strict=True):
        worst = np.maximum(worst, (row / stretch).max(axis=1))
    rank = min(len(worst), math.ceil((len(worst) + 1) * (1 - false_alarms)))
    reach = max(1e-3, float(np.sort(worst)[rank - 1]))  # some budget would turn everybody away
    usual = [describe_usual(gate, found).stretched(by) for gate, found, by in zip(gates, kept, stretches, strict=True)]
    return Learnt(
        usual=tuple(usual),
        reach=reach,
        cells=len(of_cell),
        out_of_bounds=int((~inside).sum()),
        left_out={donor: float((worst[of_cell == donor] > reach).mean()) for donor in everyone},
    )
