"""Cells against the table of a run: answered or abstained and why, and the interval of each value.

The edge does the same with the same table (:mod:`vsf_edge.trust`); a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsframework.config import Selection
from vsframework.errors import VsfError
from vsframework.interfaces import Gate
from vsframework.plugins import registry
from vsframework.trust.difficulty import difficulties
from vsframework.trust.learning import TOO_FAR, Usual, Values, distances
from vsframework.trust.table import GateTable, MeasureLimits, Trust

MOST_REASONS = 3
"""A sentence names at most this many gates, the worst first."""


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What the gates say about N cells.

    Attributes
    ----------
    answered
        bool [N]: whether a number may be given.
    reasons
        [N]: what is wrong, as words that go on after "abstained, because"; empty where answered.
    scores
        float64 [N, G]: per gate 0 in the middle of the training cells, 1 at its limit.
    """

    answered: npt.NDArray[np.bool_]
    reasons: tuple[str, ...]
    scores: Values


class Judge:
    """Applies a table. Make one with :meth:`load`, or of a table that was just learnt.

    Raises
    ------
    UsageError
        When a gate of the table is not installed.
    VsfError
        When an installed gate measures something else than the table was learnt with.
    """

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self._gates = [build_gate(Selection(name=table.name, params=table.parameters)) for table in trust.gates.table]
        for gate, table in zip(self._gates, trust.gates.table, strict=True):
            if gate.version != table.version:
                raise VsfError(
                    f"the gate {table.name} is version {gate.version} here, and its limits were learnt with version "
                    f"{table.version}; run 'vsf calibrate' again, or install {table.distribution} "
                    f"{table.distribution_version}"
                )

    @classmethod
    def load(cls, run: Path) -> Judge | None:
        """Read the table of a run; None where there is none.

        Raises
        ------
        VsfError
            When it is damaged, or belongs to other weights.
        """
        trust = Trust.read(run)
        return None if trust is None else cls(trust)

    def judge(self, brightfield: npt.NDArray[np.generic]) -> Verdicts:
        """Judge patches [N, P, H, W], counts, of the size that the table was learnt on.

        Raises
        ------
        VsfError
            When the patches have another size or number of planes.
        """
        expected = (self.trust.planes, self.trust.size, self.trust.size)
        if brightfield.shape[1:] != expected:
            raise VsfError(
                f"the gates were learnt on patches {list(expected)} (planes, height, width) and these are "
                f"{list(brightfield.shape[1:])}; give patches of one cell, cut as in the dataset"
            )
        values = [gate.measure(brightfield, self.trust.full_scale) for gate in self._gates]
        return judge_values(self.trust.gates.table, values, len(brightfield))

    def intervals(self, quantity: str, values: Values, verdicts: Verdicts) -> tuple[Values, Values, Values]:
        """Give lower end, upper end and difficulty [N] of the `values` [N] of a quantity.

        The ends are NaN where a cell is not answered, its value is no number, or the run has no intervals; the
        difficulty is the absolute error to expect, also of cells that are not answered (NaN for unknown quantities).
        No end lies beyond what the quantity can be, which takes no true value out of an interval.
        """
        known = next((item for item in self.trust.quantities if item.name == quantity), None)
        nothing = np.full(len(values), np.nan)
        if known is None:
            return nothing, nothing.copy(), nothing.copy()
        difficulty = difficulties(known.difficulty, verdicts.scores, values)
        if known.interval is None or known.interval.quantile is None:
            return nothing, nothing.copy(), difficulty
        reach = np.where(verdicts.answered, known.interval.quantile * difficulty, np.nan)
        ends = -np.inf if known.lowest is None else known.lowest, np.inf if known.highest is None else known.highest
        return np.clip(values - reach, *ends), np.clip(values + reach, *ends), difficulty


def build_gate(selection: Selection) -> Gate:
    """Build the gate that `selection` names."""
    gate: Gate = registry().create("gate", selection.name, selection.params)
    return gate


def judge_values(tables: Sequence[GateTable], values: Sequence[Values], cells: int) -> Verdicts:
    """Judge measured `values` ([N, M] per gate) of `cells` cells by the limits in `tables`."""
    scores = np.zeros((cells, len(tables)))
    out = np.zeros((cells, len(tables)), dtype=np.bool_)
    for column, (table, found) in enumerate(zip(tables, values, strict=True)):
        scores[:, column], out[:, column] = _score(table, found)
    reasons = tuple(
        "; ".join(
            _sentence(tables[gate], values[gate][row])
            for gate in np.argsort(-scores[row], kind="stable")[:MOST_REASONS]
            if out[row, gate]
        )
        for row in range(cells)
    )
    return Verdicts(answered=np.asarray(~out.any(axis=1), dtype=np.bool_), reasons=reasons, scores=scores)


def _score(table: GateTable, values: Values) -> tuple[Values, npt.NDArray[np.bool_]]:
    """Give how far out each cell is [N], 1 at the limit, and whether it is beyond it [N]."""
    if table.precision is not None and table.limit is not None:
        away = distances(_usual(table), values)
        out = ~(away <= table.limit)
        return np.nan_to_num(away / table.limit, nan=TOO_FAR), out
    scores, out = np.zeros(len(values)), np.zeros(len(values), dtype=np.bool_)
    for column, measure in enumerate(table.measures):
        value = values[:, column]
        out |= ~np.isfinite(value)
        if measure.low is not None:
            out |= value < measure.low
            scores = np.maximum(scores, (measure.middle - value) / max(measure.middle - measure.low, 1e-12))
        if measure.high is not None:
            out |= value > measure.high
            scores = np.maximum(scores, (value - measure.middle) / max(measure.high - measure.middle, 1e-12))
    return np.minimum(np.nan_to_num(scores, nan=TOO_FAR), TOO_FAR), out


def _usual(table: GateTable) -> Usual:
    columns: dict[str, Any] = {
        name: np.array([getattr(measure, name) for measure in table.measures]) for name in ("middle", "below", "above")
    }
    return Usual(**columns, precision=np.array(table.precision), distance=1.0)


def _sentence(table: GateTable, values: Values) -> str:
    """Say what is wrong with a cell that this gate turns away."""
    if table.precision is not None and table.limit is not None:
        distance = float(distances(_usual(table), values[None])[0])
        return f"{table.together} ({table.name}: distance {distance:.3g}, at most {table.limit:.3g})"
    worst, sentence = -1.0, f"{table.name} could not be measured"
    for measure, value in zip(table.measures, values.tolist(), strict=True):
        for limit, text, sign in ((measure.low, measure.too_low, -1), (measure.high, measure.too_high, 1)):
            if limit is None or not sign * (value - limit) > 0:
                continue
            beyond = sign * (value - limit) / max(sign * (limit - measure.middle), 1e-12)
            if beyond > worst:
                worst, sentence = beyond, f"{text} ({_numbers(table.name, measure, value)})"
    return sentence


def _numbers(gate: str, measure: MeasureLimits, value: float) -> str:
    bounds = [
        f"{word} {limit:.3g}"
        for word, limit in (("at least", measure.low), ("at most", measure.high))
        if limit is not None
    ]
    return f"{gate}: {measure.name} {value:.3g}, {' and '.join(bounds)}"
