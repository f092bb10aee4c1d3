"""Bootstrap intervals of the gain over the constant."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vsframework.evaluation.intervals import gain_interval


def errors(middle: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return np.abs(random.normal(middle, 0.01, count)), np.abs(random.normal(0.03, 0.01, count))


def test_the_interval_holds_the_estimate_and_repeats_exactly() -> None:
    model, constant = errors(0.02, 80)
    one, two = gain_interval({"A": (model, constant)}), gain_interval({"A": (model, constant)})
    assert one == two
    assert one.gain_low < (constant - model).mean() < one.gain_high
    assert one.skill_low < 1 - model.mean() / constant.mean() < one.skill_high
    assert one.skill_low > 0
    assert one.mae_low < model.mean() < one.mae_high


def test_one_donor_is_resampled_by_cells_and_says_so() -> None:
    found = gain_interval({"A": errors(0.02, 40)})
    assert found.resampled == "cells"
    assert "nothing about how it would differ on another donor" in found.meaning
    assert "too narrow" not in found.meaning
    assert "too narrow" in gain_interval({"A": errors(0.02, 5)}).meaning


def test_donors_that_differ_widen_the_interval_more_than_their_cells_do() -> None:
    donors = {name: errors(middle, 100, seed) for seed, (name, middle) in enumerate([("A", 0.01), ("B", 0.05)])}
    clustered = gain_interval(donors)
    pooled = gain_interval({"all": tuple(np.concatenate(side) for side in zip(*donors.values(), strict=True))})
    assert clustered.resampled == "donors"
    assert clustered.gain_high - clustered.gain_low > 2 * (pooled.gain_high - pooled.gain_low)
    assert "too narrow" in clustered.meaning


def test_the_interval_of_one_donor_covers_the_true_gain_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for seed in range(200):
        model, constant = random.exponential(0.02, 60), random.exponential(0.03, 60)
        found = gain_interval({"A": (model, constant)}, level=0.9, resamples=300, seed=seed)
        hits += found.gain_low <= 0.01 <= found.gain_high
    assert 0.83 <= hits / 200 <= 0.96


def test_a_perfect_constant_leaves_no_skill_interval() -> None:
    found = gain_interval({"A": (np.full(5, 0.1), np.zeros(5))})
    assert math.isnan(found.skill_low)
    assert (found.gain_low, found.gain_high) == pytest.approx((-0.1, -0.1))


def test_donors_without_cells_or_with_unequal_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="as many errors"):
        gain_interval({"A": (np.zeros(0), np.zeros(0))})
    with pytest.raises(ValueError, match="as many errors"):
        gain_interval({"A": (np.zeros(3), np.zeros(2))})
