"""Refinement moves an almost right matrix to the right one, and never makes it worse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsf_plugins.registrars.acceptance import corners, correlation, transform, warp_to_moving
from vsf_plugins.registrars.refinement import nearest_similarity, refine, rms

RNG = np.random.default_rng(3)
FIELD = cv2.GaussianBlur(RNG.normal(size=(300, 320)), (0, 0), 3).astype(np.float32)
POINTS = RNG.uniform(5, 115, (20, 2))


def turned(angle: float, scale: float = 1.0) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, 160 - 60 * c + 60 * s], [s, c, 150 - 60 * s - 60 * c], [0.0, 0.0, 1.0]])


def off(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    return np.array([[scale, -angle, x], [angle, scale, y], [0.0, 0.0, 1.0]])


def patch(matrix: np.ndarray) -> np.ndarray:
    return cv2.warpPerspective(FIELD, matrix, (120, 120), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


@settings(max_examples=20, deadline=None)
@given(
    angle=st.floats(-np.pi, np.pi),
    error=st.tuples(st.floats(-0.008, 0.008), st.floats(0.995, 1.005), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0)),
    model=st.sampled_from(["similarity", "affine", "homography"]),
)
def test_a_matrix_a_pixel_off_is_brought_home_at_any_angle(
    angle: float, error: tuple[float, float, float, float], model: str
) -> None:
    true = turned(angle)
    moving = patch(true)
    start = true @ off(*error)
    matrix, similarity = refine(
        moving, FIELD, start, model, source=POINTS, target=transform(true, POINTS), max_move=0.03
    )
    outline = corners((120, 120))
    before = np.linalg.norm(transform(start, outline) - transform(true, outline), axis=1).mean()
    after = np.linalg.norm(transform(matrix, outline) - transform(true, outline), axis=1).mean()
    assert after <= max(0.1, before)
    assert after < 0.15
    assert similarity == pytest.approx(correlation(moving, warp_to_moving(FIELD, matrix, (120, 120))), abs=1e-6)
    if model == "similarity":
        assert matrix[0, 0] == pytest.approx(matrix[1, 1])
        assert matrix[0, 1] == pytest.approx(-matrix[1, 0])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), model=st.sampled_from(["similarity", "affine", "homography"]))
def test_unrelated_images_never_correlate_less_afterwards_nor_move_far(seed: int, model: str) -> None:
    moving = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(120, 120)), (0, 0), 3).astype(np.float32)
    start = turned(0.3)
    target = transform(start, POINTS)
    matrix, similarity = refine(moving, FIELD, start, model, source=POINTS, target=target, max_move=0.02)
    assert similarity >= correlation(moving, warp_to_moving(FIELD, start, (120, 120))) - 1e-12
    outline = corners((120, 120))
    step = np.linalg.inv(start) @ matrix
    assert np.linalg.norm(transform(step, outline) - outline, axis=1).max() <= 0.02 * np.hypot(120, 120) + 1e-9


def test_a_gain_that_contradicts_the_features_is_thrown_away() -> None:
    true = turned(0.3)
    start = true @ off(0, 1, 1.5, 0)
    agreeing = transform(start, POINTS)
    matrix, _ = refine(patch(true), FIELD, start, "similarity", source=POINTS, target=agreeing, max_move=0.05)
    np.testing.assert_array_equal(matrix, start)


def test_a_constant_window_leaves_the_matrix_as_it_is() -> None:
    start = turned(0.3)
    target = transform(start, POINTS)
    flat = np.zeros_like(FIELD)
    matrix, similarity = refine(patch(start), flat, start, "affine", source=POINTS, target=target, max_move=0.02)
    np.testing.assert_array_equal(matrix, start)
    assert similarity == 0.0


@given(angle=st.floats(-3, 3), scale=st.floats(0.2, 5), x=st.floats(-99, 99), y=st.floats(-99, 99))
def test_the_nearest_similarity_of_a_similarity_is_itself(angle: float, scale: float, x: float, y: float) -> None:
    true = turned(angle, scale)
    true[:2, 2] += [x, y]
    found = nearest_similarity(POINTS, transform(true, POINTS))
    np.testing.assert_allclose(found, true, atol=1e-9)
    assert rms(found, POINTS, transform(true, POINTS)) < 1e-9
