"""The DFI model: as skewed as real cells, and only partly visible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsframework.simulation.fragmentation import (
    HIGHEST_DFI,
    LOWEST_DFI,
    WEIGHTS,
    Donor,
    draw_cues,
    draw_donor,
    draw_fragmentation,
)


@pytest.fixture(scope="module")
def population() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """dfi and visible of 200 donors x 60 cells, [donor, cell, 2]."""
    rng = np.random.default_rng(3)
    found = np.zeros((200, 60, 2))
    for index in range(200):
        donor = draw_donor("d", rng)
        for cell in range(60):
            drawn = draw_fragmentation(donor, draw_cues(donor, rng), rng)
            found[index, cell] = drawn.dfi, drawn.visible
    return found


def test_the_dfi_looks_like_the_measured_one(population: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    dfi = population[..., 0]
    # McCallum et al. 2019, 1064 cells: mean 0.104, SD 0.037, range 0.04-0.40, donors' medians 0.08-0.13
    assert dfi.mean() == pytest.approx(0.104, abs=0.006)
    assert dfi.std() == pytest.approx(0.037, abs=0.006)
    assert dfi.min() >= LOWEST_DFI
    assert dfi.max() <= HIGHEST_DFI
    assert np.log(dfi).mean() > np.log(np.median(dfi))  # skewed to the right even as a logarithm
    assert 0.08 < np.log(np.median(dfi, axis=1)).std() < 0.2


def test_morphology_shows_only_part_of_it(population: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    dfi, visible = population[..., 0].ravel(), population[..., 1].ravel()
    assert 0.5 < np.corrcoef(dfi, visible)[0, 1] < 0.8
    best, constant = np.abs(dfi - visible).mean(), np.abs(dfi - np.median(dfi)).mean()
    assert 0.5 * constant < best < 0.85 * constant


def test_no_rescaling_of_the_visible_part_predicts_better(
    population: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> None:
    dfi, visible = population[..., 0].ravel(), population[..., 1].ravel()
    best = np.abs(dfi - visible).mean()
    for factor in (0.93, 1.07):
        assert np.abs(dfi - factor * visible).mean() > best
    for power in (0.8, 1.2):
        assert np.abs(dfi - 0.093 * (visible / 0.093) ** power).mean() > best
    assert np.mean(dfi > visible) == pytest.approx(0.5, abs=0.05)


@given(
    cues=st.fixed_dictionaries({cue: st.floats(-4, 4) for cue in WEIGHTS}),
    hidden=st.floats(-4, 4),
    seed=st.integers(0, 2**32),
)
def test_every_cell_has_a_possible_dfi(cues: dict[str, float], hidden: float, seed: int) -> None:
    donor = Donor("d", dict.fromkeys(WEIGHTS, 0.0), hidden, 1.0)
    drawn = draw_fragmentation(donor, cues, np.random.default_rng(seed))
    assert LOWEST_DFI <= drawn.dfi <= HIGHEST_DFI
    assert LOWEST_DFI <= drawn.visible <= HIGHEST_DFI
    again = draw_fragmentation(donor, {cue: value + 1e-3 for cue, value in cues.items()}, np.random.default_rng(seed))
    grows = sum(WEIGHTS.values()) > 0
    assert (again.visible >= drawn.visible) == grows or again.visible == drawn.visible
