"""How large an error is to be expected, from what the gates saw and from the value itself."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.optimize import nnls

from vsframework.trust.learning import Values
from vsframework.trust.table import Difficulty

MOST_SCORE = 2.0
"""Scores above this say nothing more about the error."""

PRIOR_CELLS = 20.0
"""Weights are shrunk as if this many further cells had the average error, whatever they look like."""

FLOOR = 0.25
"""No expected error is below this share of the average one: a cell that looks easy is not measured exactly."""


def fit_difficulty(
    scores: Values, values: Values, errors: Values, fitted_on: Literal["validation donors", "training donors"]
) -> Difficulty:
    """Fit the expected absolute error: a constant, plus weights that are not negative.

    So a cell further from the middle of the training cells, in any respect, is never called easier.

    Parameters
    ----------
    scores, values, errors
        [N, G], [N] and [N]: gate scores, predicted value, and absolute error of cells that calibrate nothing.
    """
    middle = float(np.median(values))
    low, high = np.quantile(values, (0.1, 0.9))
    scale = float(max(high - low, 1e-9 * max(abs(middle), 1), 1e-12))
    features = _features(scores, values, middle, scale)
    average = float(errors.mean()) or 1e-12
    prior = np.sqrt(PRIOR_CELLS / features.shape[1]) * np.eye(features.shape[1])  # a weight of 0 fits it best
    design = np.block([[np.ones((len(errors), 1)), features], [np.zeros((features.shape[1], 1)), prior]])
    weights, _ = nnls(design, np.concatenate([errors / average, np.zeros(features.shape[1])]))
    return Difficulty(
        fitted_on=fitted_on,
        cells=len(errors),
        constant=float(weights[0] * average),
        floor=FLOOR * average,
        weights=tuple((weights[1:] * average).tolist()),
        middle=middle,
        scale=scale,
    )


def difficulties(model: Difficulty, scores: Values, values: Values) -> Values:
    """Give the absolute error to expect [N] for gate `scores` [N, G] and `values` [N]; NaN where a value is NaN."""
    features = _features(scores, values, model.middle, model.scale)
    expected = np.maximum(model.floor, model.constant + features @ np.array(model.weights))
    return np.asarray(expected, dtype=np.float64)


def _features(scores: Values, values: Values, middle: float, scale: float) -> Values:
    away = (values - middle) / scale
    sides = np.stack([np.maximum(-away, 0), np.maximum(away, 0)], axis=1)
    return np.concatenate([np.clip(scores, 0, MOST_SCORE), sides], axis=1)
