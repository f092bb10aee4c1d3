"""The paper's denoising rule, held by an independent and obvious implementation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vsf_plugins.denoisers.histogram_mode import COMPONENT, HistogramMode, HistogramModeParams, frequent_values
from vsframework.errors import UsageError, VsfError
from vsframework.interfaces import Denoised

PATCHES = hnp.arrays(
    dtype=st.sampled_from([np.uint8, np.uint16, np.int32]),
    shape=st.tuples(st.integers(2, 4), st.integers(1, 12), st.integers(1, 12)),
    elements=st.integers(0, 20),
)


def denoise(stains: npt.NDArray[np.generic], modes: int = 3) -> Denoised:
    return HistogramMode(HistogramModeParams(modes=modes)).denoise(stains)


def obvious(stains: npt.NDArray[np.generic], modes: int) -> tuple[list[float], npt.NDArray[np.bool_]]:
    """The rule of the paper, word by word."""
    pixels = [int(value) for value in stains[0].ravel()]
    by_frequency = sorted(set(pixels), key=lambda value: (-pixels.count(value), value))
    frequent = by_frequency[:modes]
    mask = np.array([value in frequent for value in pixels]).reshape(stains.shape[1:])
    return [float(np.mean(frequent)), *(float(channel[mask].mean()) for channel in stains[1:])], mask


@given(stains=PATCHES, modes=st.integers(1, 5))
def test_is_the_rule_of_the_paper(stains: npt.NDArray[np.generic], modes: int) -> None:
    result = denoise(stains, modes)
    background, mask = obvious(stains, modes)
    np.testing.assert_allclose(result.background, background, rtol=1e-12)
    np.testing.assert_array_equal(result.mask, mask)
    expected = np.clip(stains - np.array(background)[:, None, None], 0, None)
    np.testing.assert_allclose(result.stains, expected, atol=1e-5)
    assert result.stains.dtype == np.float32
    assert result.background.dtype == np.float64


def test_of_equally_frequent_values_the_lower_comes_first() -> None:
    values, mask = frequent_values(np.array([[9, 9, 4, 4, 7, 7, 2]], dtype=np.uint8), 2)
    assert values.tolist() == [4.0, 7.0]
    assert mask.tolist() == [[False, False, True, True, True, True, False]]


def test_empty_values_between_are_never_frequent() -> None:
    values, mask = frequent_values(np.array([[0, 200]], dtype=np.uint8), 3)
    assert values.tolist() == [0.0, 200.0]
    assert mask.all()


@given(
    stains=hnp.arrays(np.uint16, (2, 8, 8), elements=st.integers(0, 40)),
    offset=st.integers(0, 20_000),
)
def test_a_camera_offset_changes_only_the_background(stains: npt.NDArray[np.uint16], offset: int) -> None:
    plain, shifted = denoise(stains), denoise(stains + np.uint16(offset))
    np.testing.assert_allclose(shifted.background, plain.background + offset, rtol=1e-9)
    np.testing.assert_allclose(shifted.stains, plain.stains, atol=2e-2)  # float32 near 20 000 counts
    np.testing.assert_array_equal(shifted.mask, plain.mask)


def test_wide_values_are_sorted_instead_of_binned() -> None:
    stains = np.array([[[5, 5, 4_000_000_000, 7]], [[1, 3, 100, 8]]], dtype=np.uint32)
    assert denoise(stains, 1).background.tolist() == [5.0, 2.0]


def test_a_warped_patch_is_rounded_for_the_histogram_only() -> None:
    dsdna = np.array([[1.2, 0.9, 1.1, 0.75, 30.4]], dtype=np.float32)
    ssdna = np.array([[0.5, 0.5, 0.25, 0.75, 9.0]], dtype=np.float32)
    result = denoise(np.stack([dsdna, ssdna]), 1)
    assert result.background.tolist() == [1.0, 0.5]
    np.testing.assert_allclose(result.stains[0], [[0.2, 0, 0.1, 0, 29.4]], atol=1e-6)


def test_integers_held_as_floats_give_the_same_result() -> None:
    stains = np.random.default_rng(3).poisson([[[2.0]], [[5.0]], [[1.0]]], (3, 32, 32))
    expected = denoise(stains.astype(np.uint8))
    for dtype in (np.float32, np.float64, np.float16, np.int64):
        result = denoise(stains.astype(dtype))
        np.testing.assert_array_equal(result.stains, expected.stains)
        np.testing.assert_array_equal(result.mask, expected.mask)


@settings(max_examples=20)
@given(level=st.integers(0, 4000), modes=st.integers(1, 4))
def test_a_flat_patch_is_all_background(level: int, modes: int) -> None:
    result = denoise(np.full((2, 5, 6), level, dtype=np.uint16), modes)
    assert result.background.tolist() == [level, level]
    assert result.mask.all()
    assert not result.stains.any()


def test_input_is_left_alone() -> None:
    stains = np.random.default_rng(0).poisson(3.0, (2, 16, 16)).astype(np.float32)
    before = stains.copy()
    denoise(stains)
    np.testing.assert_array_equal(stains, before)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_patch_that_is_not_finite_is_refused(value: float) -> None:
    stains = np.zeros((2, 4, 4), dtype=np.float32)
    stains[0, 1, 1] = value
    with pytest.raises(VsfError, match="NaN or infinite"):
        denoise(stains)


def test_an_image_that_is_no_stack_is_refused() -> None:
    with pytest.raises(VsfError, match=r"needs stains \[C, H, W\]"):
        denoise(np.zeros((4, 4), dtype=np.uint8))


def test_parameters_are_bounded() -> None:
    with pytest.raises(UsageError, match="modes"):
        COMPONENT.create({"modes": 0})
