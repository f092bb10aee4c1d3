"""Nothing below zero, and still the sum that the background leaves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vsf_plugins.denoisers.subtraction import SubtractionParams, keeping_the_sum, without_surface

IMAGES = hnp.arrays(np.float64, (6, 7), elements=st.floats(-50, 250, width=32))


@given(image=IMAGES)
def test_the_sum_stays_and_nothing_is_below_zero(image: npt.NDArray[np.float64]) -> None:
    result = keeping_the_sum(image)
    assert (result >= 0).all()
    assert result.sum() == pytest.approx(max(0.0, image.sum()), rel=1e-6, abs=1e-9)


@given(image=IMAGES)
def test_every_pixel_is_lowered_by_one_amount_or_cut_at_zero(image: npt.NDArray[np.float64]) -> None:
    result = keeping_the_sum(image)
    lowered = (image - result)[result > 0]
    if lowered.size:
        assert lowered.min() >= -1e-9
        assert np.ptp(lowered) < 1e-9
        assert (image[result == 0] <= lowered.max() + 1e-9).all()


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
