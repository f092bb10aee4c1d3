"""The clinical question: how good the cell is that a prediction picks among n of one donor.

A clinic does not need the DFI of a cell to three digits; it needs the better cell. How good a picked cell is, is told
by its place among the cells of its own donor, so donors with a high DFI and donors with a low one count alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.special import gammaln
from scipy.stats import rankdata

from vsframework.evaluation.metrics import Value
from vsframework.interfaces import FloatArray

RANDOM_CHOICE = 50.0
"""The expected percentile of a cell that is picked blindly, for every n: ties count half."""


class Selection(BaseModel):
    """How good the best of `choose_from` cells by prediction is, on average over donors.

    Attributes
    ----------
    choose_from
        n: how many cells of one donor there are to choose from.
    percentile
        Expected percentile of the picked cell, 0 to 100, each donor counting the same; random choice gives 50.
    low, high
        Two-stage bootstrap interval (donors, then cells within each). With few donors it is likely to be too narrow.
    level
        Coverage that the interval aims at.
    best_possible
        What a perfect prediction would give on the same cells: no method can do better.
    donors
        Percentile of each donor; donors with fewer than n cells are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choose_from: int
    percentile: Value
    low: Value
    high: Value
    level: float
    best_possible: Value
    donors: dict[str, Value]


def percentiles(values: FloatArray) -> FloatArray:
    """Give the percentile of each cell among the cells of its donor: the share of the *others* with a higher value.

    Parameters
    ----------
    values
        Measured DFI of the cells of one donor, [N], finite, N at least 2. Lower is better.

    Returns
    -------
    array
        [N], 0 (worst) to 100 (best); others with the same value count half, so that the mean is always 50.

    Examples
    --------
    >>> import numpy as np
    >>> percentiles(np.array([0.08, 0.10, 0.10, 0.30])).tolist()
    [100.0, 50.0, 50.0, 0.0]
    """
    if len(values) < 2:
        raise ValueError("a percentile among other cells needs 2 cells or more")
    place: FloatArray = 100.0 * (len(values) - rankdata(values)) / (len(values) - 1)
    return place


def picked_percentile(measured: FloatArray, predicted: FloatArray, choose_from: int) -> float:
    """Give the expected percentile of the cell with the lowest prediction among `choose_from` random ones of a donor.

    Exact, without drawing: of all sets of n different cells, a share C(N - 1 - r, n - 1) / C(N, n) has the cell of
    rank r (0 is the lowest prediction) as its pick. Cells with the same prediction are picked equally often.

    Parameters
    ----------
    measured, predicted
        DFI of the cells of one donor, [N], finite. Lower is better.
    choose_from
        n, 1 to N.

    Raises
    ------
    ValueError
        When there are fewer than `choose_from` cells, or fewer than 2.

    Examples
    --------
    >>> import numpy as np
    >>> measured = np.array([0.08, 0.10, 0.12, 0.30])
    >>> picked_percentile(measured, predicted=measured, choose_from=4)
    100.0
    >>> round(picked_percentile(measured, predicted=-measured, choose_from=4), 6)
    0.0
    >>> round(picked_percentile(measured, predicted=np.zeros(4), choose_from=3), 6)
    50.0
    """
    count = len(measured)
    if len(predicted) != count or not 1 <= choose_from <= count:
        raise ValueError(f"cannot choose from {choose_from} cells with {count} measured and {len(predicted)} predicted")
    place = percentiles(measured)
    order = np.argsort(predicted, kind="stable")
    _, first, tied = np.unique(predicted[order], return_index=True, return_counts=True)
    averaged = np.add.reduceat(place[order], first) / tied
    return float(_pick_chances(count, choose_from) @ np.repeat(averaged, tied))


def selection(
    donors: Sequence[str],
    measured: FloatArray,
    predicted: FloatArray,
    choose_from: Sequence[int] = (5, 10, 20, 50),
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Selection]:
    """Tell how good the picked cell is for each n of `choose_from`, with an interval clustered by donor.

    Parameters
    ----------
    donors, measured, predicted
        Donor, measured and predicted DFI of each cell, [N], finite. Cells are only ever compared within a donor.
    choose_from
        The n to tell of.
    level, resamples, seed
        Of the bootstrap: donors are drawn with replacement first, then cells within each drawn donor.

    Raises
    ------
    ValueError
        When no donor has as many cells as the smallest n.
    """
    of_cell = np.asarray(donors, dtype=str)
    cells = {str(donor): (measured[of_cell == donor], predicted[of_cell == donor]) for donor in np.unique(of_cell)}
    random = np.random.default_rng(seed)
    return [_selection(cells, count, level, resamples, random) for count in choose_from]


def _selection(
    cells: Mapping[str, tuple[FloatArray, FloatArray]],
    count: int,
    level: float,
    resamples: int,
    random: np.random.Generator,
) -> Selection:
    large = {donor: pair for donor, pair in cells.items() if len(pair[0]) >= max(2, count)}
    if not large:
        raise ValueError(f"no donor has {count} cells to choose from")
    found = {donor: picked_percentile(*pair, count) for donor, pair in large.items()}
    drawn = random.integers(len(large), size=(resamples, len(large)))
    means = np.empty(drawn.shape)
    for index, pair in enumerate(large.values()):
        where = drawn == index
        means[where] = _resampled(pair, count, int(where.sum()), random)
    low, high = np.quantile(means.mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Selection(
        choose_from=count,
        percentile=float(np.mean(list(found.values()))),
        low=float(low),
        high=float(high),
        level=level,
        best_possible=float(np.mean([picked_percentile(true, true, count) for true, _ in large.values()])),
        donors=found,
    )


def _resampled(
    pair: tuple[FloatArray, FloatArray], count: int, resamples: int, random: np.random.Generator
) -> FloatArray:
    """Picked percentile of one donor for `resamples` bootstrap samples of its cells."""
    measured, predicted = pair
    picks = random.integers(len(measured), size=(resamples, len(measured)))
    return np.array([picked_percentile(measured[pick], predicted[pick], count) for pick in picks])


def _pick_chances(count: int, choose_from: int) -> FloatArray:
    """Chance of each rank [N] to be the lowest of `choose_from` out of `count` cells drawn without replacement."""
    chances = np.zeros(count)
    others = np.arange(count - 1, choose_from - 2, -1.0)  # cells ranked behind: as many as can fill the draw
    top = _log_choose(others, choose_from - 1)
    chances[: len(top)] = np.exp(top - _log_choose(np.array([float(count)]), choose_from))
    return chances


def _log_choose(items: FloatArray, picked: int) -> FloatArray:
    found: FloatArray = gammaln(items + 1) - gammaln(picked + 1) - gammaln(items - picked + 1)
    return found
