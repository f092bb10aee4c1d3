"""Intervals hold what they promise, adapt to the difficulty, and are not given where nothing can be promised."""

from __future__ import annotations

import numpy as np
import pytest

from vsframework.trust.conformal import calibrate_interval, conformal_quantile
from vsframework.trust.difficulty import difficulties, fit_difficulty


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("cells", [19, 60])
def test_one_more_cell_is_held_with_the_promised_probability(coverage: float, cells: int) -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(4000):
        scores = rng.exponential(size=cells + 1)
        quantile = conformal_quantile(scores[:-1], ["A"] * cells, coverage, "cells")
        assert quantile is not None
        held.append(scores[-1] <= quantile)
    # exact: ceil((n + 1) coverage) / (n + 1), here 4 standard deviations of 4000 draws
    expected = np.ceil((cells + 1) * coverage - 1e-9) / (cells + 1)
    assert np.mean(held) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 4000))


def test_exchangeable_donors_hold_for_a_new_donor_and_exchangeable_cells_do_not() -> None:
    rng = np.random.default_rng(1)
    held: dict[str, list[float]] = {"cells": [], "donors": []}
    names = [str(donor) for donor in range(12) for _ in range(30)]
    for _ in range(400):
        errors = np.abs(rng.normal(0, 1, 13)[:, None] + rng.normal(0, 0.3, (13, 30)))
        for way, shares in held.items():
            quantile = conformal_quantile(errors[:12].ravel(), names, 0.8, way)  # type: ignore[arg-type]
            assert quantile is not None
            shares.append(float((errors[12] <= quantile).mean()))
    assert np.mean(held["donors"]) >= 0.8
    assert np.mean(held["cells"]) < 0.8 < np.mean(held["donors"])


def test_every_donor_counts_as_one() -> None:
    few_bad = np.concatenate([np.full(2, 9.0), np.full(18 * 50, 1.0)])
    names = ["bad"] * 2 + [str(donor) for donor in range(18) for _ in range(50)]
    assert conformal_quantile(few_bad, names, 0.95, "cells") == 1
    assert conformal_quantile(few_bad, names, 0.91, "donors") == 9  # 18 of 20 donors are not enough for 91 %


@pytest.mark.parametrize(("donors", "given"), [(8, False), (9, True)])
def test_nine_donors_are_needed_for_ninety_percent(donors: int, given: bool) -> None:
    scores = np.random.default_rng(2).exponential(size=donors * 40)
    names = [str(number // 40) for number in range(len(scores))]
    assert (conformal_quantile(scores, names, 0.9, "donors") is not None) is given


def test_no_cells_no_interval() -> None:
    assert conformal_quantile(np.zeros(0), [], 0.9, "cells") is None
    assert conformal_quantile(np.zeros(0), [], 0.9, "donors") is None


def test_a_donor_that_differs_shows_before_any_test_donor_is_looked_at() -> None:
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.exponential(size=200), 8 + rng.exponential(size=50)])
    interval = calibrate_interval(scores, ["A"] * 100 + ["B"] * 100 + ["C"] * 50, 0.9, "cells")
    assert interval.cells == 250
    assert interval.across_donors["C"] < 0.2
    assert interval.across_donors["A"] > 0.9


def cells_of_two_kinds(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gate scores, values and errors: the first gate tells the hard cells, the second says nothing."""
    scores = rng.uniform(0, 1, (count, 2))
    values = rng.uniform(0.05, 0.3, count)
    return scores, values, np.abs(rng.normal(0, 0.01 + 0.05 * scores[:, 0] ** 2))


def test_the_width_follows_the_difficulty_and_hard_cells_are_held_too() -> None:
    rng = np.random.default_rng(4)
    model = fit_difficulty(*cells_of_two_kinds(rng, 300), "validation donors")
    scores, values, errors = cells_of_two_kinds(rng, 600)
    quantile = conformal_quantile(errors / difficulties(model, scores, values), ["A"] * 600, 0.9, "cells")
    constant = conformal_quantile(errors, ["A"] * 600, 0.9, "cells")
    assert quantile is not None
    assert constant is not None
    scores, values, errors = cells_of_two_kinds(rng, 5000)
    half_width = quantile * difficulties(model, scores, values)
    hard, easy = scores[:, 0] > 0.8, scores[:, 0] < 0.2
    assert (errors <= half_width).mean() == pytest.approx(0.9, abs=0.03)
    assert (errors[hard] <= half_width[hard]).mean() > (errors[hard] <= constant).mean() + 0.1
    assert np.median(half_width[hard]) > 1.5 * np.median(half_width[easy])


def test_a_cell_further_out_is_never_called_easier() -> None:
    rng = np.random.default_rng(5)
    scores, values, errors = cells_of_two_kinds(rng, 80)
    model = fit_difficulty(scores, values, errors[::-1], "training donors")
    assert min(model.weights) >= 0
    assert (difficulties(model, scores + 0.3, values) >= difficulties(model, scores, values) - 1e-12).all()
    assert (difficulties(model, scores, values) >= model.floor).all()
    assert model.floor > 0


def test_a_model_without_errors_still_has_a_difficulty() -> None:
    model = fit_difficulty(np.zeros((6, 1)), np.full(6, 0.1), np.zeros(6), "training donors")
    assert (difficulties(model, np.zeros((2, 1)), np.array([0.1, 0.2])) > 0).all()
