"""The trust table of a model: whether a cell gets a number at all, and between which ends the true value lies.

The table (``trust.json``, docs/trust.md) was learnt where the model was trained. Applying it takes NumPy and the gates
of :mod:`vsf_edge.gates`, or those of other packages named by entry points ``gate.NAME``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.errors import EdgeError
from vsf_edge.gates.measure import measure_together
from vsf_edge.interfaces import Gate
from vsf_edge.plugins import plugins

FORMAT, SCHEMA_VERSION = "vsframework-trust", 1
FAR, TOO_FAR, MOST_SCORE = 12.0, 1e6, 2.0
"""Where standardised values, scores, and scores in an expected error are cut off; part of the format."""

MOST_REASONS = 3
"""A sentence names at most this many gates, the worst first."""

Values = npt.NDArray[np.float64]


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


class TrustTable:
    """A trust table that was read and whose gates were found.

    Parameters
    ----------
    text
        The JSON.
    origin
        Names it in an error.
    whole
        Whether the ends of intervals may lie where no value can be: for who averages intervals before they are shown.

    Attributes
    ----------
    planes, size
        Brightfield planes, and side in pixels, of the patches it judges.
    coverage
        Nominal coverage of the intervals.
    missing
        Why there are no intervals; empty where there are.
    ranges
        By quantity, the ends of what it can be at all; infinite where there is none or nothing is known.

    Raises
    ------
    EdgeUsageError
        When a gate is not installed here.
    EdgeError
        When the table is damaged or newer, or a gate measures something else than it was learnt with.
    """

    def __init__(self, text: bytes, origin: str, *, whole: bool = False) -> None:
        self._whole = whole
        try:
            document = json.loads(text.decode("utf-8"))
            if document["format"] != FORMAT:
                raise EdgeError(f"{origin} is no trust table of vsframework: export the model again")
            if int(document["schema_version"]) > SCHEMA_VERSION:
                raise EdgeError(f"{origin} was written for a newer vsf-edge: pip install --upgrade vsf-edge")
            self.planes, self.size = int(document["planes"]), int(document["size"])
            self._full_scale = float(document["full_scale"])
            self._gates = [_JudgedGate(table, origin) for table in document["gates"]["table"]]
            self.coverage = float(document["intervals"]["coverage"])
            self.missing = str(document["intervals"]["missing"])
            self._quantities = {
                str(item["name"]): _ExpectedError(item, len(self._gates)) for item in document["quantities"]
            }
            self.ranges = {str(item["name"]): _range(item) for item in document["quantities"]}
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
            text_of = " ".join(str(error).split())
            raise EdgeError(
                f"{origin} is damaged ({type(error).__name__}: {text_of}): export the model again"
            ) from error

    def judge(self, brightfield: npt.NDArray[np.generic]) -> Verdicts:
        """Judge patches [N, P, H, W] of one cell each, counts, of the size that the model was trained on.

        Raises
        ------
        EdgeError
            When they have another size or number of planes (a whole field, for example).
        """
        expected = (self.planes, self.size, self.size)
        if brightfield.shape[1:] != expected:
            raise EdgeError(
                f"the gates judge patches {list(expected)} (planes, height, width) and these are "
                f"{list(brightfield.shape[1:])}: cut one patch per cell"
            )
        count = len(brightfield)
        scores, reasons = np.zeros((count, len(self._gates))), [[""] * len(self._gates) for _ in range(count)]
        measured = measure_together([gate.gate for gate in self._gates], brightfield, self._full_scale)
        for column, (gate, values) in enumerate(zip(self._gates, measured, strict=True)):
            scores[:, column], out = gate.score(values)
            for row in np.flatnonzero(out):
                reasons[row][column] = gate.sentence(values[row])
        worst = [np.argsort(-scores[row], kind="stable")[:MOST_REASONS] for row in range(count)]
        return Verdicts(
            answered=np.array([not any(words) for words in reasons], dtype=np.bool_),
            reasons=tuple(
                "; ".join(words[gate] for gate in order if words[gate])
                for words, order in zip(reasons, worst, strict=True)
            ),
            scores=scores,
        )

    def intervals(self, quantity: str, values: Values, verdicts: Verdicts) -> tuple[Values, Values, Values]:
        """Give lower end, upper end and expected absolute error [N] of the `values` [N] of a quantity.

        NaN where a cell is not answered (the ends), there are no intervals (the ends), or nothing is known. No end lies
        beyond what the quantity can be, which takes no true value out of an interval.
        """
        known = self._quantities.get(quantity)
        if known is None:
            return (np.full(len(values), np.nan),) * 3
        expected = known.of(verdicts.scores, values)
        reach = known.quantile * np.where(verdicts.answered, expected, np.nan)
        lowest, highest = (-np.inf, np.inf) if self._whole else self.ranges[quantity]
        return np.clip(values - reach, lowest, highest), np.clip(values + reach, lowest, highest), expected


class _JudgedGate:
    """One gate with its limits."""

    def __init__(self, table: Mapping[str, Any], origin: str) -> None:
        self.name = str(table["name"])
        found = plugins().find("gate", self.name)
        self.gate: Gate = found.create(**table["parameters"])
        if self.gate.version != table["version"]:
            raise EdgeError(
                f"{origin} was learnt with version {table['version']} of the gate {self.name}, and {found.origin} has "
                f"version {self.gate.version}: install {table['distribution']} {table['distribution_version']}"
            )
        self._together = str(table["together"])
        measures: Sequence[Mapping[str, Any]] = table["measures"]
        self._names = [str(item["name"]) for item in measures]
        self._texts = [(str(item["too_low"]), str(item["too_high"])) for item in measures]
        self._middle, self._below, self._above = (
            np.array([float(item[key]) for item in measures]) for key in ("middle", "below", "above")
        )
        self._low, self._high = (
            np.array([np.nan if item[key] is None else float(item[key]) for item in measures])
            for key in ("low", "high")
        )
        self._limit = None if table["limit"] is None else float(table["limit"])
        self._precision = None if self._limit is None else np.array(table["precision"], dtype=np.float64)
        if self._precision is not None and self._precision.shape != (len(measures), len(measures)):
            raise ValueError(f"the precision of {self.name} has the shape {self._precision.shape}")

    def score(self, values: Values) -> tuple[Values, npt.NDArray[np.bool_]]:
        """Give how far out each cell of `values` [N, M] is [N], 1 at the limit, and whether it is beyond it [N]."""
        if self._limit is not None:
            away = self._distance(values)
            return np.nan_to_num(away / self._limit, nan=TOO_FAR), np.asarray(~(away <= self._limit), dtype=np.bool_)
        with np.errstate(invalid="ignore"):
            out = (values < self._low) | (values > self._high) | ~np.isfinite(values)
            low = (self._middle - values) / np.maximum(self._middle - self._low, 1e-12)
            high = (values - self._middle) / np.maximum(self._high - self._middle, 1e-12)
        # a side without a limit counts for nothing; a value that is no number is out on every side
        sides = np.concatenate([low[:, ~np.isnan(self._low)], high[:, ~np.isnan(self._high)]], axis=1)
        scores = np.max(sides, axis=1, initial=0.0)
        return np.minimum(np.nan_to_num(scores, nan=TOO_FAR), TOO_FAR), np.asarray(out.any(axis=1), dtype=np.bool_)

    def sentence(self, values: Values) -> str:
        """Say what is wrong with a cell that is turned away; `values` is [M]."""
        if self._limit is not None:
            distance = float(self._distance(values[None])[0])
            return f"{self._together} ({self.name}: distance {distance:.3g}, at most {self._limit:.3g})"
        worst, words = -1.0, f"{self.name} could not be measured"
        for column, value in enumerate(values.tolist()):
            for limit, text, sign in zip(
                (self._low[column], self._high[column]), self._texts[column], (-1, 1), strict=True
            ):
                if not sign * (value - limit) > 0:
                    continue
                beyond = sign * (value - limit) / max(sign * (limit - self._middle[column]), 1e-12)
                if beyond > worst:
                    worst, words = beyond, f"{text} ({self._numbers(column, value)})"
        return words

    def _distance(self, values: Values) -> Values:
        away = values - self._middle
        standard = np.clip(away / np.where(away < 0, self._below, self._above), -FAR, FAR)
        assert self._precision is not None
        return np.asarray(np.sqrt(np.einsum("ni,ij,nj->n", standard, self._precision, standard)), dtype=np.float64)

    def _numbers(self, column: int, value: float) -> str:
        pairs = (("at least", self._low[column]), ("at most", self._high[column]))
        bounds = " and ".join(f"{word} {limit:.3g}" for word, limit in pairs if not np.isnan(limit))
        return f"{self.name}: {self._names[column]} {value:.3g}, {bounds}"


def _range(item: Mapping[str, Any]) -> tuple[float, float]:
    """Give the ends of what a quantity can be; tables that say nothing of it are older."""
    lowest, highest = item.get("lowest"), item.get("highest")
    ends = -np.inf if lowest is None else float(lowest), np.inf if highest is None else float(highest)
    if not ends[0] < ends[1]:
        raise ValueError(f"{item['name']} is to lie between {ends[0]} and {ends[1]}")
    return ends


class _ExpectedError:
    """The expected absolute error of one quantity, and how many of them an interval reaches (NaN: no interval)."""

    def __init__(self, item: Mapping[str, Any], gates: int) -> None:
        model = item["difficulty"]
        self._constant, self._floor, self._middle, self._scale = (
            float(model[key]) for key in ("constant", "floor", "middle", "scale")
        )
        self._weights = np.array([float(weight) for weight in model["weights"]])
        if len(self._weights) != gates + 2:
            raise ValueError(f"{item['name']} has {len(self._weights)} weights for {gates} gates")
        interval = item["interval"]
        self.quantile = np.nan if interval is None or interval["quantile"] is None else float(interval["quantile"])

    def of(self, scores: Values, values: Values) -> Values:
        away = (values - self._middle) / self._scale
        sides = np.stack([np.maximum(-away, 0), np.maximum(away, 0)], axis=1)
        features = np.concatenate([np.clip(scores, 0, MOST_SCORE), sides], axis=1)
        return np.asarray(np.maximum(self._floor, self._constant + features @ self._weights), dtype=np.float64)
