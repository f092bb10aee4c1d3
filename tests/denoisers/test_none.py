"""The denoiser that does nothing."""

from __future__ import annotations

import numpy as np
import pytest

from vsf_plugins.denoisers.none import COMPONENT
from vsframework.errors import VsfError


def test_stains_stay_as_they_are() -> None:
    stains = np.random.default_rng(1).integers(0, 65536, (2, 20, 30), dtype=np.uint16)
    result = COMPONENT.create().denoise(stains)
    np.testing.assert_array_equal(result.stains, stains)
    assert result.background.tolist() == [0.0, 0.0]
    assert not result.mask.any()


def test_what_is_below_zero_becomes_zero_because_stains_never_are() -> None:
    result = COMPONENT.create().denoise(np.array([[[-2.0, 4.5]]], dtype=np.float32))
    assert result.stains.tolist() == [[[0.0, 4.5]]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(VsfError, match="NaN or infinite"):
        COMPONENT.create().denoise(np.array([[[1.0]], [[value]]], dtype=np.float32))
