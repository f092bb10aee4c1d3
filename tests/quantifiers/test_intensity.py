"""The intensity of any stain: the same number in every array library, and evaluated like a DFI."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest

from vsf_plugins.quantifiers.intensity import Intensity, IntensityParams
from vsframework.errors import UsageError


def test_sums_means_and_areas_are_those_of_the_pixels() -> None:
    stains = np.random.default_rng(0).uniform(0, 50, (3, 2, 6, 5))
    found = Intensity(IntensityParams(stains=("DAPI", "MAP2"), level=20)).measure(stains, ["MAP2", "DAPI"])
    dapi = stains[:, 1]
    np.testing.assert_allclose(found["DAPI_sum"], [np.sum(cell) for cell in dapi])
    np.testing.assert_allclose(found["DAPI_mean"], [np.mean(cell) for cell in dapi])
    np.testing.assert_array_equal(found["DAPI_area"], [np.count_nonzero(cell > 20) for cell in dapi])
    np.testing.assert_allclose(found["MAP2_sum"], stains[:, 0].sum(axis=(1, 2)))


def test_integers_are_summed_without_overflow() -> None:
    found = Intensity(IntensityParams(stains=("DAPI",))).measure(np.full((1, 512, 512), 65535, np.uint16), ["DAPI"])
    assert float(found["DAPI_sum"]) == 65535.0 * 512 * 512
    assert float(found["DAPI_mean"]) == 65535.0


def test_keeps_to_the_array_api_standard() -> None:
    stains = array_api_strict.asarray(np.full((2, 1, 4, 4), 30.0))
    found = Intensity(IntensityParams(stains=("DAPI",))).measure(stains, ["DAPI"])
    assert [float(value) for value in found["DAPI_sum"]] == [480.0, 480.0]


def test_refuses_a_stain_twice() -> None:
    with pytest.raises(UsageError, match="names one twice"):
        Intensity(IntensityParams(stains=("DAPI", "DAPI")))
