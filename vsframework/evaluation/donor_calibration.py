"""Calibration of predictions to a new donor: by its unlabelled cells alone, or by k of its cells that were measured.

A prediction from brightfield ranks the cells of one donor better than it places the donor: preparation, staining and
light differ from donor to donor, and a network takes part of that for biology. What is learnt here, from donors whose
predictions were made without them, is how far the level that it gives a new donor can be believed, how far its
differences within the donor can, and how much a few measured cells say about what remains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from vsframework.errors import VsfError
from vsframework.interfaces import FloatArray

Indices: TypeAlias = npt.NDArray[np.integer[Any]]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much of a level or of a difference may be believed; coarse, because five donors cannot tell more."""
TO_DEVIATION = 1.4826
"""Median absolute deviation to standard deviation, of a normal distribution."""


class DonorCalibration(BaseModel):
    """What a regressor's errors on other donors say about its predictions for a new one. Make one with :meth:`learn`.

    Attributes
    ----------
    constant
        Median of the donors' median measured values: the level of a donor of whom nothing is known.
    level
        Share, 0 to 1, of the difference between a donor's median prediction and `constant` that is believed.
    spread
        Share, 0 to 1, of the differences within a donor that is believed.
    between
        Standard deviation from donor to donor of the level error that remains, in the quantity's unit.
    within
        Robust standard deviation of the errors of the cells of one donor around its level error, same unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    constant: float
    level: float
    spread: float
    between: float
    within: float

    @classmethod
    def learn(cls, donors: Sequence[str], measured: FloatArray, predicted: FloatArray) -> DonorCalibration:
        """Learn from predictions for donors that the predicting regressor had not seen.

        Parameters
        ----------
        donors, measured, predicted
            Donor, measured and predicted value of each cell, [N], finite. Each donor's predictions must come from a
            regressor that was fitted without this donor: errors on cells learnt from are too small.

        Raises
        ------
        VsfError
            When there are fewer than two donors: nothing can then be said about differences between donors.
        """
        cells = _by_donor(donors, measured, predicted)
        medians = {donor: float(np.median(true)) for donor, (true, _) in cells.items()}

        def mean_error(level: float, spread: float) -> float:
            errors = []
            for donor, (true, found) in cells.items():
                others = float(np.median([median for name, median in medians.items() if name != donor]))
                errors.append(np.abs(_placed(found, others, level, spread) - true).mean())
            return float(np.mean(errors))

        level, spread = min(product(SHARES, SHARES), key=lambda shares: mean_error(*shares))
        constant = float(np.median(list(medians.values())))
        left = {donor: true - _placed(found, constant, level, spread) for donor, (true, found) in cells.items()}
        shifts = {donor: float(np.median(rest)) for donor, rest in left.items()}
        scatter = [TO_DEVIATION * np.median(np.abs(rest - shifts[donor])) for donor, rest in left.items()]
        return cls(
            constant=constant,
            level=level,
            spread=spread,
            between=float(np.sqrt(np.mean(np.square(list(shifts.values()))))),
            within=float(np.mean(scatter)),
        )

    def weight(self, labelled: int) -> float:
        """Give the share of the median error of `labelled` cells that is believed, 0 to 1 (empirical Bayes).

        The median of k errors strays from the donor's by about sqrt(pi / 2k) x `within`; the donors' stray from 0 by
        `between`.

        Examples
        --------
        >>> known = DonorCalibration(constant=0.1, level=0, spread=1, between=0.01, within=0.02)
        >>> [round(known.weight(labelled), 2) for labelled in (0, 5, 20)]
        [0.0, 0.44, 0.76]
        """
        if not labelled or not self.between:
            return 0.0
        chance = np.pi / 2 * self.within**2 / labelled
        return float(self.between**2 / (self.between**2 + chance))

    def apply(
        self,
        predicted: FloatArray,
        labelled: Indices | Sequence[int] = (),
        measured: FloatArray | Sequence[float] = (),
    ) -> FloatArray:
        """Calibrate the predictions for the cells of one donor.

        Parameters
        ----------
        predicted
            For all its cells, [N], finite: their median is taken as what the prediction says about the donor.
        labelled, measured
            Which of the cells were measured [k], and their values [k]; none for calibration without labels. Their own
            calibrated predictions must not be counted in an error.

        Returns
        -------
        array
            float64 [N], in the quantity's unit.

        Raises
        ------
        ValueError
            When a cell is labelled twice, or there are not as many values as labelled cells.
        """
        cells, values = np.asarray(labelled, dtype=np.int64), np.asarray(measured, dtype=np.float64)
        if cells.shape != values.shape or len(np.unique(cells)) != len(cells):
            raise ValueError(f"{len(values)} measured values for the labelled cells {cells.tolist()}: one each")
        placed = _placed(np.asarray(predicted, dtype=np.float64), self.constant, self.level, self.spread)
        if not len(cells):
            return placed
        shifted: FloatArray = placed + self.weight(len(cells)) * np.median(values - placed[cells])
        return shifted


def draw_labelled(cells: int, labelled: int, random: np.random.Generator) -> tuple[Indices, Indices]:
    """Draw which of the `cells` of a donor are measured: the indices [k] of those, and of all others [N - k].

    Raises
    ------
    ValueError
        When no cell would be left to judge by.
    """
    if not 0 <= labelled < cells:
        raise ValueError(f"{labelled} labelled cells of {cells} leave none to judge by")
    order = random.permutation(cells)
    return order[:labelled], order[labelled:]


def error_quantiles(
    donors: Sequence[str],
    measured: FloatArray,
    predicted: FloatArray,
    labelled: int,
    level: float = 0.9,
    draws: int = 20,
    seed: int = 0,
) -> tuple[float, float]:
    """Give what to add to a calibrated prediction for the ends of its interval (split conformal, over donors).

    Each donor in turn plays the new one: it is calibrated by what the others teach and by `labelled` of its cells, and
    the errors of its remaining cells are collected. The interval therefore knows how many labelled cells there were.
    Donors count alike. A guarantee would need donors without number; with a handful the level is an aim, and what was
    really covered must be shown beside it.

    Parameters
    ----------
    donors, measured, predicted
        As for :meth:`DonorCalibration.learn`.
    labelled
        k: labelled cells of the new donor.
    level
        Share of cells that the interval aims to cover, in (0, 1); the same share is left out at both ends.
    draws, seed
        Repetitions of the draw of the labelled cells, and its seed.

    Returns
    -------
    low, high
        In the quantity's unit; `low` is usually negative.
    """
    cells = _by_donor(donors, measured, predicted)
    of_cell = np.asarray(donors, dtype=str)
    random = np.random.default_rng(seed)
    errors = {}
    for donor, (true, found) in cells.items():
        others = of_cell != donor
        calibration = DonorCalibration.learn(of_cell[others].tolist(), measured[others], predicted[others])
        rest = []
        for _ in range(draws if labelled else 1):
            chosen, judged = draw_labelled(len(true), labelled, random)
            rest.append((true - calibration.apply(found, chosen, true[chosen]))[judged])
        errors[donor] = np.concatenate(rest)
    return donor_quantiles(errors, level)


def donor_quantiles(errors: Mapping[str, FloatArray], level: float = 0.9) -> tuple[float, float]:
    """Give the two ends between which the share `level` of the errors of each donor [n] lies, donors counting alike.

    Examples
    --------
    >>> import numpy as np
    >>> donor_quantiles({"A": np.full(500, -1.0), "B": np.array([3.0])}, level=0.5)
    (-1.0, 3.0)
    """
    pooled = np.concatenate(list(errors.values()))
    weights = np.concatenate([np.full(len(own), 1 / len(own) / len(errors)) for own in errors.values()])
    order = np.argsort(pooled)
    share = np.cumsum(weights[order])
    ends = np.searchsorted(share, [(1 - level) / 2, (1 + level) / 2])
    low, high = pooled[order[np.minimum(ends, len(pooled) - 1)]]
    return float(low), float(high)


def _placed(predicted: FloatArray, constant: float, level: float, spread: float) -> FloatArray:
    """Move the median of one donor's predictions towards `constant`, and shrink the differences around it."""
    median = float(np.median(predicted))
    placed: FloatArray = constant + level * (median - constant) + spread * (predicted - median)
    return placed


def _by_donor(
    donors: Sequence[str], measured: FloatArray, predicted: FloatArray
) -> dict[str, tuple[FloatArray, FloatArray]]:
    of_cell = np.asarray(donors, dtype=str)
    true, found = np.asarray(measured, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    names = sorted(set(of_cell.tolist()))
    if len(names) < 2:
        raise VsfError(
            f"donor calibration learns from differences between donors, and there is only {', '.join(names) or 'none'}"
        )
    return {donor: (true[of_cell == donor], found[of_cell == donor]) for donor in names}
