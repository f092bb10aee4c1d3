"""The percentile of the picked cell: what it means, and that the exact formula is what drawing cells gives."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsframework.evaluation.selection import RANDOM_CHOICE, percentiles, picked_percentile, selection


@given(st.lists(st.integers(0, 5), min_size=4, max_size=7), st.integers(1, 4), st.integers(0, 1000))
def test_the_formula_is_the_mean_over_every_set_of_n_cells(measured: list[int], count: int, seed: int) -> None:
    values = np.array(measured, dtype=float)
    predicted = np.random.default_rng(seed).integers(0, 4, len(values)).astype(float)
    place = percentiles(values)
    picked = []
    for cells in combinations(range(len(values)), count):
        best = [cell for cell in cells if predicted[cell] == min(predicted[list(cells)])]
        picked.append(np.mean(place[best]))
    assert picked_percentile(values, predicted, count) == pytest.approx(np.mean(picked))


@given(st.lists(st.integers(0, 9), min_size=6, max_size=30), st.integers(1, 6))
def test_choosing_blindly_gives_the_middle(measured: list[int], count: int) -> None:
    values = np.array(measured, dtype=float)
    assert picked_percentile(values, np.zeros(len(values)), count) == pytest.approx(RANDOM_CHOICE)


def test_a_perfect_prediction_is_the_best_possible_and_its_reverse_the_worst() -> None:
    values = np.random.default_rng(0).normal(size=40)
    for count in (5, 20):
        best, worst = (picked_percentile(values, sign * values, count) for sign in (1, -1))
        assert best == pytest.approx(100 * (1 - (40 - count) / (count + 1) / 39))  # the mean rank of the lowest of n
        assert worst == pytest.approx(100 - best)


def test_only_the_order_within_a_donor_counts() -> None:
    random = np.random.default_rng(1)
    donors = np.repeat(["A", "B", "C"], 30)
    measured = random.normal(size=90)
    predicted = measured + random.normal(size=90)
    shifted = predicted + np.repeat([5.0, -3.0, 0.0], 30)
    assert selection(donors, measured, predicted, (5,)) == selection(donors, measured, shifted, (5,))


def test_the_interval_holds_the_estimate_and_narrows_with_donors() -> None:
    random = np.random.default_rng(2)

    def width(count: int) -> float:
        donors = np.repeat([f"D{index:02}" for index in range(count)], 25)
        measured = random.normal(size=len(donors))
        found = selection(donors, measured, measured + random.normal(size=len(donors)), (10,), resamples=300)[0]
        assert found.low < found.percentile < found.high
        assert RANDOM_CHOICE < found.percentile < found.best_possible
        return found.high - found.low

    assert width(24) < width(3)


def test_donors_with_too_few_cells_are_left_out_and_never_guessed() -> None:
    donors = ["A"] * 10 + ["B"] * 4
    values = np.arange(14.0)
    found = selection(donors, values, values, (4, 10), resamples=10)
    assert [set(row.donors) for row in found] == [{"A", "B"}, {"A"}]
    with pytest.raises(ValueError, match="no donor has 11 cells"):
        selection(donors, values, values, (11,))
