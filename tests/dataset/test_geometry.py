"""Matrices between field, crop and patch pixels."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vsframework.dataset.geometry import centre_and_angle, cut, resize, resize_matrix, share_outside, upright_matrix
from vsframework.interfaces import Detection

angles = st.floats(-3.1, 3.1)
places = st.floats(60, 140)


def smooth_field(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(200, 200)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 4) * 100 + 100


@given(x=places, y=places, angle=angles)
def test_a_detected_head_lies_in_the_middle_with_its_tip_to_the_right(x: float, y: float, angle: float) -> None:
    matrix = upright_matrix(Detection(x=x, y=y, angle=angle, length=40, score=1), 60)
    centre = matrix @ [x, y, 1]
    tip = matrix @ [x + 20 * np.cos(angle), y + 20 * np.sin(angle), 1]
    np.testing.assert_allclose(centre[:2], [29.5, 29.5], atol=1e-9)
    np.testing.assert_allclose(tip[:2], [49.5, 29.5], atol=1e-9)


@given(x=places, y=places, angle=angles)
def test_centre_and_angle_invert_the_upright_matrix(x: float, y: float, angle: float) -> None:
    matrix = upright_matrix(Detection(x=x, y=y, angle=angle, length=40, score=1), 61)
    np.testing.assert_allclose(centre_and_angle(matrix, (61, 61)), (x, y, angle), atol=1e-6)


def test_the_outer_edges_of_an_image_and_its_resized_form_fall_together() -> None:
    matrix = resize_matrix((150, 100), 256)
    np.testing.assert_allclose(matrix @ [-0.5, -0.5, 1], [-0.5, -0.5, 1])
    np.testing.assert_allclose(matrix @ [99.5, 149.5, 1], [255.5, 255.5, 1])


def test_cut_follows_the_matrix() -> None:
    field = smooth_field()
    shift = np.array([[1, 0, -40.0], [0, 1, -25.0], [0, 0, 1]])
    np.testing.assert_array_equal(cut(field, shift, (64, 64), 64), field[25:89, 40:104])


@given(size=st.sampled_from([32, 48, 64, 96, 128]))
def test_resizing_keeps_the_mean(size: int) -> None:
    field = smooth_field()[:64, :64]
    assert abs(float(resize(field, size).mean()) - float(field.mean())) < 0.02 * float(field.std())


def test_a_crop_half_outside_its_field_is_seen() -> None:
    inside = np.array([[1, 0, -10.0], [0, 1, -10.0], [0, 0, 1]])
    half = np.array([[1, 0, 32.0], [0, 1, -10.0], [0, 0, 1]])
    assert share_outside(inside, (64, 64), (200, 200)) == 0
    assert 0.45 < share_outside(half, (64, 64), (200, 200)) < 0.55
