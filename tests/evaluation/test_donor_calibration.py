"""What a few measured cells of a new donor, or its unlabelled ones alone, repair; and that intervals know how many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vsframework import VsfError
from vsframework.evaluation.donor_calibration import (
    DonorCalibration,
    donor_quantiles,
    draw_labelled,
    error_quantiles,
)

Array = npt.NDArray[np.float64]


def drawn(
    level_error: float, cells: int = 80, donors: int = 8, trust: float = 1.0, noise: float = 0.01
) -> tuple[list[str], Array, Array]:
    """Cells whose predictions follow the truth within a donor (`trust` 1) and miss its level by `level_error`."""
    random = np.random.default_rng(3)
    names, measured, predicted = [], [], []
    for index in range(donors):
        within = random.normal(0, 0.02, cells)
        names += [f"D{index}"] * cells
        measured.append(0.10 + 0.01 * random.normal() + within)
        predicted.append(0.10 + level_error * random.normal() + trust * within + random.normal(0, noise, cells))
    return names, np.concatenate(measured), np.concatenate(predicted)


def split(donors: list[str], *arrays: Array) -> tuple[Array, list[tuple[Array, ...]]]:
    """The cells of the last donor apart from the others."""
    new = np.array(donors) == donors[-1]
    return new, [(array[~new], array[new]) for array in arrays]


def mean_error(level_error: float, labelled: int, trust: float = 1.0) -> float:
    donors, measured, predicted = drawn(level_error, trust=trust)
    new, [(seen_true, true), (seen_found, found)] = split(donors, measured, predicted)
    known = DonorCalibration.learn(np.array(donors)[~new].tolist(), seen_true, seen_found)
    random, errors = np.random.default_rng(0), []
    for _ in range(50):
        chosen, judged = draw_labelled(len(true), labelled, random)
        errors.append(np.abs(true - known.apply(found, chosen, true[chosen]))[judged].mean())
    return float(np.mean(errors))


def test_labelled_cells_repair_the_level_of_a_donor() -> None:
    errors = [mean_error(0.05, labelled) for labelled in (0, 5, 40)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.011  # what is left is the noise of a single prediction: 0.01 x sqrt(2 / pi)


def test_a_level_that_cannot_be_believed_is_dropped_without_any_label() -> None:
    donors, measured, predicted = drawn(level_error=0.05)
    known = DonorCalibration.learn(donors, measured, predicted)
    assert known.level == 0
    assert known.spread >= 0.75
    shifted = known.apply(predicted[:80] + 0.5)
    assert np.abs(shifted - known.apply(predicted[:80])).max() < 1e-12


def test_predictions_that_say_nothing_are_shrunk_to_the_constant() -> None:
    donors, measured, predicted = drawn(level_error=0.02, trust=0.0, noise=0.03, donors=60)
    known = DonorCalibration.learn(donors, measured, predicted)
    assert (known.level, known.spread) == (0, 0)
    assert np.ptp(known.apply(predicted[:80])) == 0


def test_few_labels_are_believed_less_than_many_and_never_more_than_they_are() -> None:
    donors, measured, predicted = drawn(level_error=0.05)
    known = DonorCalibration.learn(donors, measured, predicted)
    weights = [known.weight(labelled) for labelled in (0, 1, 5, 20, 10_000)]
    assert weights == sorted(weights)
    assert weights[0] == 0
    assert 0.99 < weights[-1] < 1


def test_intervals_are_narrower_with_more_labels_and_cover_a_new_donor() -> None:
    donors, measured, predicted = drawn(level_error=0.05, donors=30)
    new, [(seen_true, true), (seen_found, found)] = split(donors, measured, predicted)
    seen = np.array(donors)[~new].tolist()
    known = DonorCalibration.learn(seen, seen_true, seen_found)
    widths = []
    for labelled in (0, 5, 20):
        low, high = error_quantiles(seen, seen_true, seen_found, labelled)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    chosen, judged = draw_labelled(len(true), 20, np.random.default_rng(0))
    rest = (true - known.apply(found, chosen, true[chosen]))[judged]
    assert 0.75 < np.mean((low <= rest) & (rest <= high)) <= 1


def test_donors_count_alike_in_an_interval() -> None:
    wide, narrow = np.linspace(-1, 1, 2001), np.zeros(3)
    assert donor_quantiles({"A": wide, "B": narrow}, 0.5) == (0.0, 0.0)
    low, high = donor_quantiles({"A": wide, "B": wide[::20]}, 0.9)
    assert (low, high) == pytest.approx((-0.9, 0.9), abs=0.02)


def test_what_cannot_be_calibrated_is_refused() -> None:
    with pytest.raises(VsfError, match="there is only D0"):
        DonorCalibration.learn(["D0"] * 3, np.arange(3.0), np.arange(3.0))
    known = DonorCalibration(constant=0.1, level=0, spread=1, between=0.01, within=0.02)
    with pytest.raises(ValueError, match="one each"):
        known.apply(np.arange(4.0), [1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="none to judge by"):
        draw_labelled(10, 10, np.random.default_rng(0))
