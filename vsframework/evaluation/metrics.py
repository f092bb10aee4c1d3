"""How well predicted values agree with measured ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator
from scipy.stats import rankdata

from vsframework.interfaces import FloatArray


def _number(value: object) -> object:
    return float("nan") if value is None else value


Value = Annotated[float, BeforeValidator(_number)]
"""A number that may be NaN ("cannot be computed"): null in JSON, which has no NaN."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Measured against predicted values of one quantity over a group of cells.

    Attributes
    ----------
    cells
        How many cells were compared.
    mae, rmse, bias
        Mean absolute error, root mean square error and mean of predicted minus measured, in the quantity's unit.
    mape
        Mean absolute error relative to the measured value, as a fraction (paper, eq. 2); cells measured as exactly 0,
        for which it does not exist, are left out of this one.
    pearson, spearman
        Correlation of the values and of their ranks, -1 to 1; NaN where either side does not vary.
    concordance
        Lin's concordance correlation coefficient (Biometrics 1989), -1 to 1: Pearson's, lowered by every departure
        from the identity line; NaN where neither side varies.
    slope, intercept
        Least-squares line "measured = intercept + slope x predicted"; 1 and 0 where the prediction can be read as the
        value itself. NaN where the prediction does not vary.
    limit_low, limit_high
        Bland and Altman's limits of agreement (Lancet 1986): bias minus and plus 1.96 S.D. of the differences, within
        which 95 % of the cells would lie if the differences were normally distributed. NaN for fewer than two cells.
    """

    cells: int
    mae: Value
    mape: Value
    rmse: Value
    bias: Value
    pearson: Value
    slope: Value
    intercept: Value
    spearman: Value = float("nan")
    concordance: Value = float("nan")
    limit_low: Value = float("nan")
    limit_high: Value = float("nan")


def agreement(measured: FloatArray, predicted: FloatArray) -> Agreement:
    """Compare `predicted` [N] with `measured` [N]; both finite, any unit, N may be 0 (every value is then NaN).

    Raises
    ------
    ValueError
        When the shapes differ or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> found = agreement(np.array([0.10, 0.20, 0.30]), np.array([0.12, 0.20, 0.28]))
    >>> round(found.mae, 4), round(found.bias, 4), round(found.slope, 4)
    (0.0133, 0.0, 1.25)
    """
    x = np.asarray(measured, dtype=np.float64)
    y = np.asarray(predicted, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"measured and predicted values must be two equal rows, not {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("measured and predicted values must be finite")
    error = y - x
    pearson, slope, intercept = _line(x, y)
    relative = np.abs(error[x != 0]) / np.abs(x[x != 0])
    reach = 1.96 * float(error.std(ddof=1)) if len(error) > 1 else float("nan")
    return Agreement(
        cells=len(x),
        mae=_mean(np.abs(error)),
        mape=_mean(relative),
        rmse=float(np.sqrt(_mean(error**2))),
        bias=_mean(error),
        pearson=pearson,
        slope=slope,
        intercept=intercept,
        spearman=_line(rankdata(x), rankdata(y))[0],
        concordance=_concordance(x, y),
        limit_low=_mean(error) - reach,
        limit_high=_mean(error) + reach,
    )


def skill(mae: float, constant_mae: float) -> float:
    """Give the share of a constant's error that a model removes: 1 is perfect, 0 no better than the constant.

    Negative where the model is worse than the constant; NaN where the constant's error is 0 or unknown.

    Examples
    --------
    >>> skill(0.012, 0.016), round(skill(0.020, 0.016), 2)
    (0.25, -0.25)
    """
    return 1 - mae / constant_mae if constant_mae > 0 else float("nan")


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _concordance(measured: FloatArray, predicted: FloatArray) -> float:
    if len(measured) < 2:
        return float("nan")
    spread = measured.var() + predicted.var() + (measured.mean() - predicted.mean()) ** 2
    common = float(((measured - measured.mean()) * (predicted - predicted.mean())).mean())
    return 2 * common / float(spread) if spread > 0 else float("nan")


def _line(measured: FloatArray, predicted: FloatArray) -> tuple[float, float, float]:
    """Correlation, slope and intercept of measured on predicted; NaN where they do not exist."""
    if len(measured) < 2:
        return (float("nan"),) * 3
    x = measured - measured.mean()
    y = predicted - predicted.mean()
    # what rounding leaves of equal values is not variation
    flat_x, flat_y = (np.ptp(side) <= 1e-12 * max(1e-300, float(np.abs(side).max())) for side in (measured, predicted))
    if flat_y:
        return (float("nan"),) * 3
    slope = float(x @ y / (y @ y))
    pearson = float("nan") if flat_x else float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1, 1))
    return pearson, slope, float(measured.mean() - slope * predicted.mean())
