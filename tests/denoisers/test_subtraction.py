"""Nothing below zero, and still the sum that the background leaves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vsf_plugins.denoisers.subtraction import SubtractionParams, excess, without_surface

IMAGES = hnp.arrays(np.float64, (6, 7), elements=st.floats(-50, 250, width=32))


@given(image=IMAGES)
def test_the_sum_stays_where_there_is_light(image: npt.NDArray[np.float64]) -> None:
    amount = excess(image)
    assert amount >= 0
    assert np.maximum(image - amount, 0).sum() == pytest.approx(max(0.0, image.sum()), rel=1e-6, abs=1e-9)


@given(image=IMAGES)
def test_a_balanced_patch_has_the_sum_that_its_level_leaves(image: npt.NDArray[np.float64]) -> None:
    level = np.array([2.5])
    result = without_surface(image[None], level[:, None, None], np.zeros((6, 7), dtype=np.bool_), SubtractionParams())
    assert result.background.tolist() == [2.5]
    assert (result.stains >= 0).all()
    assert result.stains.sum() == pytest.approx(max(0.0, (image - 2.5).sum()), rel=1e-4, abs=0.01)  # float32


def test_an_image_without_pixels_below_zero_is_left_alone() -> None:
    assert excess(np.array([[0.0, 3.0, 250.0]])) == 0


def test_clipping_alone_adds_the_light_that_balancing_does_not() -> None:
    """The mean of normal noise cut at zero is 0.399 of its standard deviation."""
    noise = np.random.default_rng(1).normal(5, 1, (1, 200, 200))
    noise[0, 80:120, 80:120] += 60
    light = 60 * 1600
    level = np.full((1, 1, 1), 5.0)
    empty = np.zeros((200, 200), dtype=np.bool_)
    clipped = without_surface(noise, level, empty, SubtractionParams(negative="clip")).stains.sum()
    balanced = without_surface(noise, level, empty, SubtractionParams()).stains.sum()
    assert clipped - light == pytest.approx(0.399 * (200 * 200 - 1600), rel=0.03)
    assert abs(balanced - light) < 5 * 200  # five standard errors of a sum of 40 000 pixels
