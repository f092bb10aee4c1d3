"""What the gates learn: one budget for all of them, donors that differ, fixed limits, and values that are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.config import Selection
from vsframework.errors import VsfError
from vsframework.interfaces import GateMeasure
from vsframework.trust.calibrating import gate_table
from vsframework.trust.judging import Verdicts, judge_values
from vsframework.trust.learning import Values, learn


@dataclass(frozen=True)
class Numbers:
    """A gate of `count` values that somebody else measured."""

    count: int = 3
    together: str = ""
    at_most: float | None = None
    version: str = "1"

    @property
    def measures(self) -> Sequence[GateMeasure]:
        return [
            GateMeasure(
                name=f"value{number}",
                unit="1",
                too_low="" if self.at_most is not None else "too little",
                too_high="too much",
                resolution=0.01,
                at_most=self.at_most,
            )
            for number in range(self.count)
        ]

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        raise NotImplementedError


def verdicts_of(gates: Sequence[Numbers], learnt: Any, values: Sequence[Values]) -> Verdicts:
    tables = [
        gate_table(Selection(name="focus"), gate, usual, learnt.reach)
        for gate, usual in zip(gates, learnt.usual, strict=True)
    ]
    return judge_values(tables, values, len(values[0]))


@pytest.mark.parametrize("budget", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("gates", [[Numbers(1)], [Numbers(8), Numbers(8), Numbers(4, together="odd")]])
def test_the_budget_is_for_all_gates_together(gates: list[Numbers], budget: float) -> None:
    rng = np.random.default_rng(1)
    donors = [f"D{number // 100}" for number in range(1000)]
    learnt = learn(gates, [rng.normal(size=(1000, gate.count)) for gate in gates], donors, budget)
    verdicts = verdicts_of(gates, learnt, [rng.normal(size=(20000, gate.count)) for gate in gates])
    assert (~verdicts.answered).mean() == pytest.approx(budget, rel=0.4)
    assert np.mean(list(learnt.left_out.values())) <= budget


def test_donors_that_differ_widen_the_limits() -> None:
    rng = np.random.default_rng(2)
    donors = [f"D{number // 50}" for number in range(400)]
    offsets = np.repeat(rng.normal(0, 3, 8), 50)[:, None]
    cells = rng.normal(size=(400, 1)) + offsets
    by_donor = learn([Numbers(1)], [cells], donors, 0.05)
    shuffled = learn([Numbers(1)], [cells], list(rng.permutation(donors)), 0.05)
    wide, narrow = (learnt.reach * learnt.usual[0].above for learnt in (by_donor, shuffled))
    assert (wide > narrow).all()
    new = rng.normal(size=(4000, 1)) + np.repeat(rng.normal(0, 3, 40), 100)[:, None]
    alarms = [(~verdicts_of([Numbers(1)], learnt, [new]).answered).mean() for learnt in (by_donor, shuffled)]
    assert alarms[0] < alarms[1]


def test_cells_beyond_a_fixed_limit_teach_nothing_and_stay_out() -> None:
    rng = np.random.default_rng(3)
    share = np.where(np.arange(200) < 60, 0.3, 0.0)[:, None]  # most of a real study can have a black border
    gates = [Numbers(1, at_most=0.01), Numbers(2)]
    values = [share, np.where(share > 0, 50.0, rng.normal(size=(200, 2)))]
    learnt = learn(gates, values, ["A", "B"] * 100, 0.05)
    assert (learnt.cells, learnt.out_of_bounds) == (140, 60)
    assert learnt.usual[1].middle == pytest.approx([0, 0], abs=0.3)  # the 50s were not learnt
    verdicts = verdicts_of(gates, learnt, [np.array([[0.3], [0.009], [0.0]]), np.zeros((3, 2))])
    assert verdicts.answered.tolist() == [False, True, True]
    assert "too much (focus: value0 0.3, at most 0.01)" in verdicts.reasons[0]


def test_a_value_that_is_no_number_is_never_answered() -> None:
    rng = np.random.default_rng(4)
    gates = [Numbers(2), Numbers(2, together="odd")]
    learnt = learn(gates, [rng.normal(size=(100, 2))] * 2, ["A", "B"] * 50, 0.05)
    odd = np.array([[np.nan, 0], [np.inf, 0], [0, -np.inf], [0, 0]])
    for number in (0, 1):
        values = [np.zeros((4, 2)), np.zeros((4, 2))]
        values[number] = odd
        verdicts = verdicts_of(gates, learnt, values)
        assert verdicts.answered.tolist() == [False, False, False, True]
        assert all(verdicts.reasons[:3])
        assert np.isfinite(verdicts.scores).all()


def test_values_that_are_usual_alone_can_be_unusual_together() -> None:
    rng = np.random.default_rng(5)
    first = rng.normal(size=1000)
    cells = np.stack([first, first + 0.1 * rng.normal(size=1000)], axis=1)
    gate = Numbers(2, together="its values do not go together")
    learnt = learn([gate], [cells], ["A", "B"] * 500, 0.02)
    verdicts = verdicts_of([gate], learnt, [np.array([[1.5, 1.5], [1.5, -1.5]])])
    assert verdicts.answered.tolist() == [True, False]
    assert verdicts.reasons[1].startswith("its values do not go together")


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(VsfError, match="only 4 training cells"):
        learn([Numbers(1)], [np.zeros((4, 1))], ["A", "B"] * 2, 0.05)


def test_without_gates_every_cell_is_answered() -> None:
    learnt = learn([], [], ["A", "B"] * 5, 0.05)
    assert learnt.cells == 10
    assert judge_values([], [], 3).answered.all()


def test_one_restless_value_does_not_widen_the_limits_of_the_others() -> None:
    rng = np.random.default_rng(6)
    donors = [f"D{number // 50}" for number in range(400)]
    restless = rng.normal(size=(400, 1)) + np.repeat(rng.normal(0, 5, 8), 50)[:, None]
    calm = rng.normal(size=(400, 1))
    alone = learn([Numbers(1)], [calm], donors, 0.05)
    beside = learn([Numbers(1), Numbers(1)], [calm, restless], donors, 0.05)
    widths = [learnt.reach * learnt.usual[0].above[0] for learnt in (alone, beside)]
    assert widths[1] < 1.5 * widths[0]
