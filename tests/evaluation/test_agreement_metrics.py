"""Metrics of agreement."""

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import TypeAdapter
from scipy.stats import linregress, spearmanr

from vsframework.evaluation.metrics import Agreement, agreement, skill

Values = npt.NDArray[np.float64]
values = st.integers(3, 30).flatmap(
    lambda count: st.tuples(*[arrays(float, count, elements=st.floats(0.0625, 1, width=32))] * 2)
)


@given(values)
def test_predicting_the_truth_has_no_error(pair: tuple[Values, Values]) -> None:
    found = agreement(pair[0], pair[0])
    assert (found.mae, found.mape, found.rmse, found.bias) == (0, 0, 0, 0)
    assert math.isnan(found.slope) or found.slope == pytest.approx(1)


@given(values)
def test_errors_bound_each_other(pair: tuple[Values, Values]) -> None:
    found = agreement(*pair)
    assert abs(found.bias) <= found.mae + 1e-12
    assert found.mae <= found.rmse + 1e-12
    assert found.mae / pair[0].max() - 1e-9 <= found.mape <= found.mae / pair[0].min() + 1e-9


@given(values, st.floats(0.1, 1000))
def test_only_errors_in_units_change_with_the_unit(pair: tuple[Values, Values], factor: float) -> None:
    assume(np.ptp(pair[0]) > 1e-3 and np.ptp(pair[1]) > 1e-3)
    one, other = agreement(*pair), agreement(pair[0] * factor, pair[1] * factor)
    assert other.mae == pytest.approx(one.mae * factor)
    assert other.bias == pytest.approx(one.bias * factor, abs=1e-9 * factor)
    assert (other.mape, other.pearson, other.slope) == pytest.approx((one.mape, one.pearson, one.slope), abs=1e-6)


@given(values)
def test_the_calibration_line_is_that_of_scipy(pair: tuple[Values, Values]) -> None:
    measured, predicted = pair
    assume(np.ptp(measured) > 1e-3 and np.ptp(predicted) > 1e-3)
    found, line = agreement(measured, predicted), linregress(predicted, measured)
    expected = (line.slope, line.intercept, line.rvalue)
    assert (found.slope, found.intercept, found.pearson) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_a_constant_prediction_has_no_correlation_and_no_calibration_line() -> None:
    found = agreement(np.array([0.1, 0.2, 0.4]), np.full(3, 0.1))
    assert [math.isnan(value) for value in (found.pearson, found.slope, found.intercept)] == [True] * 3


def test_cells_measured_as_zero_do_not_make_the_relative_error_infinite() -> None:
    assert agreement(np.array([0.0, 0.2]), np.array([0.1, 0.1])).mape == 0.5


def test_no_cells_give_no_numbers() -> None:
    found = agreement(np.array([]), np.array([]))
    assert found.cells == 0
    assert math.isnan(found.mae)


def test_unequal_or_missing_values_are_refused() -> None:
    with pytest.raises(ValueError, match="equal rows"):
        agreement(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        agreement(np.array([np.nan]), np.array([0.1]))


def test_what_cannot_be_computed_survives_the_way_through_json() -> None:
    adapter = TypeAdapter(Agreement)
    found = agreement(np.array([]), np.array([]))
    text = adapter.dump_json(found)
    assert json.loads(text)["mae"] is None
    assert math.isnan(adapter.validate_json(text).mae)


@given(st.floats(0, 10), st.floats(0.001, 10))
def test_skill_is_positive_exactly_where_the_model_is_better(mae: float, constant: float) -> None:
    assert (skill(mae, constant) > 0) == (1 - mae / constant > 0)
    assert skill(constant, constant) == 0


def test_skill_against_a_perfect_constant_does_not_exist() -> None:
    assert math.isnan(skill(0.1, 0.0))


@given(values)
def test_ranks_concordance_and_limits_are_what_they_are_defined_as(pair: tuple[Values, Values]) -> None:
    measured, predicted = pair
    assume(np.ptp(measured) > 1e-3 and np.ptp(predicted) > 1e-3)
    found = agreement(measured, predicted)
    assert found.spearman == pytest.approx(spearmanr(measured, predicted).statistic, abs=1e-9)
    # Lin 1989: correlation times the penalty for another scale and another place
    scale = np.std(predicted) / np.std(measured)
    place = (predicted.mean() - measured.mean()) / np.sqrt(np.std(predicted) * np.std(measured))
    assert found.concordance == pytest.approx(found.pearson * 2 / (scale + 1 / scale + place**2), abs=1e-9)
    assert (found.limit_low + found.limit_high) / 2 == pytest.approx(found.bias, abs=1e-12)
    expected = 2 * 1.96 * np.std(predicted - measured, ddof=1)
    assert found.limit_high - found.limit_low == pytest.approx(expected, abs=1e-12)


def test_concordance_falls_with_a_bias_that_correlation_does_not_see() -> None:
    measured = np.array([0.1, 0.2, 0.3])
    found = agreement(measured, measured + 0.1)
    assert found.pearson == pytest.approx(1)
    assert found.concordance == pytest.approx(4 / 7)


def test_one_cell_has_no_limits_of_agreement() -> None:
    found = agreement(np.array([0.1]), np.array([0.2]))
    assert [math.isnan(value) for value in (found.limit_low, found.concordance, found.spearman)] == [True] * 3
