"""The rule of the original study: the fullest histogram bin."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vsf_plugins.denoisers.mccallum_histogram import McCallumHistogram, McCallumHistogramParams
from vsframework.errors import VsfError
from vsframework.interfaces import Denoised


def denoise(stains: npt.NDArray[np.generic], **values: Any) -> Denoised:
    return McCallumHistogram(McCallumHistogramParams(**values)).denoise(stains)


@given(stains=hnp.arrays(np.uint8, (2, 12, 12), elements=st.integers(0, 9) | st.integers(0, 255)))
def test_is_the_rule_of_the_study_when_no_pixel_is_ignored(stains: npt.NDArray[np.uint8]) -> None:
    if any(channel.min() >= 10 or channel.min() == channel.max() for channel in stains):
        return
    result = denoise(stains, ignored_share=0)
    for channel, background in zip(stains, result.background, strict=True):
        heights, edges = np.histogram(channel, bins=64)
        below = edges[:-1] < 10
        assert background == edges[:-1][below][heights[below].argmax()]
    np.testing.assert_allclose(
        result.stains, np.clip(stains - result.background[:, None, None], 0, None), rtol=1e-6, atol=1e-6
    )
    assert result.stains.dtype == np.float32


def test_one_dark_pixel_does_not_move_the_background() -> None:
    patch = np.full((1, 100, 100), 1, dtype=np.uint8)
    patch[0, 40:60, 40:60] = 200
    clean = denoise(patch).background[0]
    patch[0, 0, 0] = 0
    assert denoise(patch).background[0] == clean == 1.0
    assert denoise(patch, ignored_share=0).background[0] == 0.0  # the study's own rule: a grey level lost


def test_interpolation_does_not_move_the_background() -> None:
    rng = np.random.default_rng(5)
    patch = np.full((1, 64, 64), 1, dtype=np.uint8)
    patch[0, 20:40, 20:40] = 60
    smeared = patch + rng.uniform(-0.45, 0.45, patch.shape)
    assert denoise(smeared.astype(np.float32)).background[0] == denoise(patch).background[0]


def test_the_mask_holds_the_background_pixels_of_every_channel() -> None:
    patch = np.array([[[1, 1, 1, 65]], [[2, 2, 66, 66]]], dtype=np.uint8)
    assert denoise(patch).mask.tolist() == [[True, True, True, False]]


def test_a_flat_dark_patch_is_all_background() -> None:
    result = denoise(np.full((2, 8, 8), 3, dtype=np.uint8))
    assert result.background.tolist() == [3.0, 3.0]
    assert result.mask.all()
    assert not result.stains.any()


def test_a_background_over_the_limit_is_an_error_that_says_what_to_do() -> None:
    patch = np.full((2, 8, 8), 100, dtype=np.uint16)
    with pytest.raises(VsfError, match=r"below 10 counts in channel 0 .* raise denoiser\.limit"):
        denoise(patch)
    assert denoise(patch, limit=200).background.tolist() == [100.0, 100.0]


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (2, 0, 4)])
def test_an_array_without_pixels_or_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(VsfError, match="mccallum-histogram needs stains"):
        denoise(np.zeros(shape, dtype=np.uint8))
