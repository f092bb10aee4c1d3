"""The interval of a mean over frames: no narrower than what averages out, whatever the errors look like (simulated)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from vsf_edge.frames import Readout
from vsf_edge.steady import SteadyValue

Floats = npt.NDArray[np.float64]
COVERAGE = 0.9
CELLS = 1500

SHAPES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape) / np.sqrt(2),
    "t3": lambda rng, shape: rng.standard_t(3, size=shape) / np.sqrt(3),
    "uniform": lambda rng, shape: rng.uniform(-np.sqrt(3), np.sqrt(3), size=shape),
    "two": lambda rng, shape: rng.choice([-1.0, 1.0], size=shape),
}


def simulated(bias: str, noise: str, ratio: float, memory: float, frames: int) -> tuple[float, Floats]:
    """Errors [cells, frames]: a bias per cell plus noise that remembers itself; and one frame's half width."""
    rng = np.random.default_rng([len(bias), len(noise), int(10 * ratio), int(100 * memory)])
    drawn = SHAPES[noise](rng, (CELLS, frames))
    noises = drawn.copy()
    for frame in range(1, frames):
        noises[:, frame] = memory * noises[:, frame - 1] + math.sqrt(1 - memory**2) * drawn[:, frame]
    many = SHAPES[bias](rng, 200_000) + ratio * SHAPES[noise](rng, 200_000)
    return float(np.quantile(np.abs(many), COVERAGE)), SHAPES[bias](rng, CELLS)[:, None] + ratio * noises


def held(half: float, errors: Floats, at: int) -> tuple[float, float]:
    """Give the share of cells whose truth (0) lies in the interval after `at` frames, and its width in single ones."""
    inside, widths = [], []
    for track in errors[:, :at]:
        steady = SteadyValue(COVERAGE)
        for value in track.tolist():
            steady.add(Readout(value=value, low=value - half, high=value + half, frames=1))
        readout = steady.readout()
        assert readout.frames == at
        inside.append(readout.low <= 0 <= readout.high)
        widths.append((readout.high - readout.low) / (2 * half))
    return float(np.mean(inside)), float(np.mean(widths))


@pytest.mark.parametrize(
    ("bias", "noise", "ratio", "memory"),
    [
        ("normal", "normal", 1.0, 0.0),
        ("normal", "normal", 0.3, 0.9),
        ("normal", "laplace", 3.0, 0.5),
        ("laplace", "normal", 1.0, 0.9),
        ("t3", "normal", 0.5, 0.0),
        ("uniform", "laplace", 1.0, 0.0),
        ("uniform", "laplace", 1.0, 0.98),
        ("two", "laplace", 1.0, 0.98),
    ],
)
def test_coverage_stays_at_nominal(bias: str, noise: str, ratio: float, memory: float) -> None:
    half, errors = simulated(bias, noise, ratio, memory, 60)
    chance = 3 * math.sqrt(COVERAGE * (1 - COVERAGE) / CELLS)  # three standard errors of the simulation itself
    if memory == 0:
        assert abs(held(half, errors, 1)[0] - COVERAGE) < chance
    for at in (2, 8, 60):
        assert held(half, errors, at)[0] >= COVERAGE - chance


def test_it_shrinks_where_frames_disagree_and_not_where_the_bias_is_all_there_is() -> None:
    noisy = held(*simulated("normal", "normal", 2.0, 0.0, 60), 60)[1]
    biased = held(*simulated("normal", "normal", 0.1, 0.0, 60), 60)[1]
    slow = held(*simulated("normal", "normal", 2.0, 0.995, 60), 60)[1]
    assert noisy < 0.75
    assert biased > 0.97  # 60 frames, and nothing like 1 / sqrt(60) = 0.13
    assert slow > 0.9  # frames that agree because their noise is slow prove nothing


def test_the_naive_interval_would_miss_most() -> None:
    half, errors = simulated("normal", "normal", 0.5, 0.0, 60)
    naive = np.abs(errors.mean(axis=1)) <= half / math.sqrt(60)
    assert naive.mean() < 0.3


def test_a_cell_that_scatters_more_than_its_interval_allows_is_not_believed_more() -> None:
    steady = SteadyValue(COVERAGE)
    for value in (0.0, 1.0) * 50:
        steady.add(Readout(value=value, low=value - 0.1, high=value + 0.1, frames=1))
    readout = steady.readout()
    assert readout.value == pytest.approx(0.5)
    assert readout.high - readout.value >= 0.1


def test_values_without_interval_or_value() -> None:
    steady = SteadyValue(COVERAGE)
    assert steady.readout().frames == 0
    assert math.isnan(steady.readout().value)
    steady.add(Readout(value=math.nan, low=math.nan, high=math.nan, frames=1))
    steady.add(Readout(value=0.25, low=math.nan, high=math.nan, frames=1))
    readout = steady.readout()
    assert (readout.value, readout.frames) == (0.25, 1)
    assert math.isnan(readout.low)
