"""How far a result could have come out differently: bootstrap intervals, clustered by donor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from vsframework.evaluation.metrics import Value
from vsframework.interfaces import FloatArray

DRAWS_AT_ONCE = 4_000_000
"""Bounds memory: this many cell draws are held at a time."""


class GainInterval(BaseModel):
    """A percentile bootstrap interval of what a model gains over the constant on held-out donors.

    `gain` is the constant's MAE minus the model's, averaged over donors, in the quantity's unit; `skill` is that gain
    as a share of the constant's MAE. Positive means that the model is better. `mae` is the model's own MAE.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resampled: Literal["donors", "cells"]
    donors: int
    cells: int
    level: float
    resamples: int
    gain_low: Value
    gain_high: Value
    skill_low: Value
    skill_high: Value
    mae_low: Value = float("nan")
    mae_high: Value = float("nan")

    @property
    def meaning(self) -> str:
        """What the interval does and does not say, in one sentence."""
        if self.resampled == "cells":
            caution = " With so few cells it is likely to be too narrow." if self.cells < 20 else ""
            return (
                "It comes from resampling the cells of one donor, so it says how well these cells determine the "
                f"result for this donor, and nothing about how it would differ on another donor.{caution}"
            )
        caution = " With so few donors it is likely to be too narrow." if self.donors < 10 else ""
        return f"It comes from resampling the {self.donors} held-out donors and then cells within each.{caution}"


def gain_interval(
    errors: Mapping[str, tuple[FloatArray, FloatArray]],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> GainInterval:
    """Bootstrap the gain of a model over the constant on held-out donors.

    Cells of one donor are alike, so with several donors the donors are drawn with replacement first and then cells
    within each drawn donor (two-stage bootstrap; Davison & Hinkley 1997, section 3.8). With one donor only its cells
    can be drawn; `GainInterval.meaning` says what is lost. Model and constant are taken as given: how another
    training run would differ is not in the interval.

    Parameters
    ----------
    errors
        Per held-out donor the absolute errors of the model [n] and of the constant [n] on the same cells. Donors
        without cells are left out.
    level
        Coverage that the interval aims at, in (0, 1).
    resamples, seed
        Number of bootstrap samples, and the seed they are drawn with.

    Raises
    ------
    ValueError
        When no donor has a cell, or the two rows of a donor differ in length.
    """
    groups = [(np.asarray(model, float), np.asarray(constant, float)) for model, constant in errors.values()]
    groups = [pair for pair in groups if len(pair[0])]
    if not groups or any(model.shape != constant.shape for model, constant in groups):
        raise ValueError("every donor needs as many errors of the model as of the constant, and one donor needs cells")
    random = np.random.default_rng(seed)
    count = len(groups)
    drawn = random.integers(count, size=(resamples, count)) if count > 1 else np.zeros((resamples, 1), dtype=np.int64)
    means = np.empty((resamples, count, 2))
    for index, pair in enumerate(groups):
        where = drawn == index
        means[where] = _resampled_means(np.stack(pair, axis=1), int(where.sum()), random)
    model_mae, constant_mae = np.moveaxis(means.mean(axis=1), -1, 0)
    tails = [(1 - level) / 2, (1 + level) / 2]
    gain_low, gain_high = np.quantile(constant_mae - model_mae, tails)
    mae_low, mae_high = np.quantile(model_mae, tails)
    if (constant_mae > 0).all():
        skill_low, skill_high = np.quantile(1 - model_mae / constant_mae, tails)
    else:
        skill_low = skill_high = np.float64("nan")
    return GainInterval(
        resampled="donors" if count > 1 else "cells",
        donors=count,
        cells=sum(len(model) for model, _ in groups),
        level=level,
        resamples=resamples,
        gain_low=float(gain_low),
        gain_high=float(gain_high),
        skill_low=float(skill_low),
        skill_high=float(skill_high),
        mae_low=float(mae_low),
        mae_high=float(mae_high),
    )


def _resampled_means(rows: FloatArray, count: int, random: np.random.Generator) -> FloatArray:
    """Means [count, K] of `count` bootstrap samples of `rows` [n, K]."""
    means = np.empty((count, rows.shape[1]))
    step = max(1, DRAWS_AT_ONCE // len(rows))
    for start in range(0, count, step):
        stop = min(count, start + step)
        picks = random.integers(len(rows), size=(stop - start, len(rows)))
        means[start:stop] = rows[picks].mean(axis=1)
    return means
