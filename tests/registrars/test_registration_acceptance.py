"""Each check of an acceptable registration, by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsf_plugins.registrars.acceptance import (
    Limits,
    check_geometry,
    check_inliers,
    check_repetition,
    check_residual,
    check_similarity,
    correlation,
    transform,
    warp_to_moving,
)

LIMITS = Limits(
    min_inliers=8,
    min_inlier_share=0.25,
    min_spread=0.03,
    max_residual_px=2.0,
    min_scale=0.5,
    max_scale=2.0,
    max_anisotropy=3.0,
    min_overlap=0.5,
    min_similarity=0.6,
    max_repetition=0.9,
)
SHAPE, FIELD = (100, 120), (400, 500)
RNG = np.random.default_rng(0)
PLACES = RNG.uniform(0, 100, (20, 2))


@given(angle=st.floats(-np.pi, np.pi), scale=st.floats(0.55, 1.9), x=st.floats(180, 300), y=st.floats(150, 250))
def test_any_similarity_within_the_limits_passes_and_its_mirror_does_not(
    angle: float, scale: float, x: float, y: float
) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = np.array([x, y]) - turn @ [60, 50]
    assert check_geometry(matrix, SHAPE, FIELD, LIMITS) is None
    mirrored = matrix @ np.array([[-1.0, 0.0, 119.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert "mirror" in str(check_geometry(mirrored, SHAPE, FIELD, LIMITS))


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (np.diag([3.0, 3.0, 1.0]), "scale"),
        (np.diag([0.1, 0.1, 1.0]), "scale"),
        (np.diag([2.0, 0.5, 1.0]), "stretched"),
        (np.array([[1.0, 0.0, 450.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), "lie in the fixed one"),
        (np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.01, 0.0, 1.0]]), "horizon"),
        (np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.02, 0.02, 1.0]]), "scale"),
        (np.diag([1.0, 0.0, 1.0]), "convex"),
        (np.full((3, 3), np.nan), "finite"),
    ],
)
def test_an_impossible_matrix_is_refused(matrix: np.ndarray, reason: str) -> None:
    assert reason in str(check_geometry(matrix, SHAPE, FIELD, LIMITS))


def test_enough_spread_unique_inliers_pass() -> None:
    assert check_inliers(PLACES, PLACES + 200, 30, SHAPE, LIMITS) is None


@pytest.mark.parametrize(
    ("source", "target", "matches", "reason"),
    [
        (PLACES[:7], PLACES[:7], 7, "only 7 places"),
        (PLACES, np.tile([[50.0, 60.0]], (20, 1)), 20, "only 1 places"),
        (np.tile(PLACES[:1], (20, 1)), PLACES, 20, "only 1 places"),
        (RNG.uniform(0, 100, (30, 2)), np.repeat(PLACES[:10], 3, axis=0), 30, "fall on only 10 places"),
        (PLACES, PLACES, 100, "only 20 of 100"),
        (PLACES * [1, 0.01], PLACES, 20, "on a line"),
        (PLACES * 0.06 + [50, 50], PLACES, 20, "in one spot"),
    ],
)
def test_inliers_that_prove_nothing_are_refused(
    source: np.ndarray, target: np.ndarray, matches: int, reason: str
) -> None:
    assert reason in str(check_inliers(source, target, matches, SHAPE, LIMITS))


@pytest.mark.parametrize("value", [2.01, float("nan"), float("inf")])
def test_a_large_or_undefined_residual_is_refused(value: float) -> None:
    assert check_residual(1.99, LIMITS) is None
    assert "px off" in str(check_residual(value, LIMITS))


@pytest.mark.parametrize("value", [0.59, -1.0, float("nan")])
def test_a_low_or_undefined_similarity_is_refused(value: float) -> None:
    assert check_similarity(0.61, LIMITS) is None
    assert "look alike" in str(check_similarity(value, LIMITS))


def test_correlation_ignores_gain_offset_and_what_lies_outside() -> None:
    image = RNG.normal(size=(40, 40)).astype(np.float32)
    partly = np.where(np.arange(40) < 10, np.nan, 3 * image + 7).astype(np.float32)
    assert correlation(image, partly) == pytest.approx(1.0, abs=1e-6)
    assert correlation(image, -image) == pytest.approx(-1.0, abs=1e-6)
    assert correlation(image, np.full_like(image, 3)) == 0.0
    assert correlation(image, np.full_like(image, np.nan)) == 0.0


def test_warping_samples_where_the_matrix_points_and_marks_the_outside() -> None:
    field = np.arange(30 * 40, dtype=np.float32).reshape(30, 40)
    shifted = warp_to_moving(field, np.array([[1.0, 0.0, 30.0], [0.0, 1.0, 5.0], [0.0, 0.0, 1.0]]), (10, 20))
    np.testing.assert_allclose(shifted[:, :9], field[5:15, 30:39])
    assert np.isnan(shifted[:, 11:]).all()


def test_points_behind_the_horizon_are_infinite() -> None:
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.1, 0.0, 1.0]])
    mapped = transform(matrix, np.array([[0.0, 0.0], [20.0, 0.0]]))
    np.testing.assert_allclose(mapped[0], [0, 0])
    assert np.isinf(mapped[1]).all()


@pytest.mark.parametrize("period", [8, 18.85, 40])
def test_a_repeated_texture_is_recognised_and_a_single_blob_is_not(period: float) -> None:
    rows, columns = np.mgrid[:400, :500]
    wave = np.sin(2 * np.pi * columns / period) + np.sin(2 * np.pi * rows / (1.3 * period))
    place = np.array([[1.0, 0.0, 150.0], [0.0, 1.0, 120.0], [0.0, 0.0, 1.0]])
    noisy = (wave + RNG.normal(0, 0.1, wave.shape)).astype(np.float32)
    patch = noisy[120:270, 150:300] + RNG.normal(0, 0.1, (150, 150)).astype(np.float32)
    assert "repeats" in str(check_repetition(patch, noisy, place, LIMITS))
    blob = (5 * np.exp(-((rows - 195) ** 2 + (columns - 225) ** 2) / (2 * period**2)) + noisy * 0.1).astype(np.float32)
    assert check_repetition(blob[120:270, 150:300], blob, place, LIMITS) is None
    assert check_repetition(blob[120:270, 150:300], blob, place, replace(LIMITS, max_repetition=0.01)) is not None
