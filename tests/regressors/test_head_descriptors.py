"""The regressor that learns how a cell differs from its donor's others: donors' levels neither help nor harm it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vsf_plugins.regressors.brightfield_descriptors import describe
from vsf_plugins.regressors.transmission import transmission
from vsframework import VsfError
from vsframework.plugins import registry
from vsframework.testing.prepared_images import head_mask

NAME = "head-descriptors"
SIZE = 48


def drawn_cells(donors: int = 4, cells: int = 16) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], list[str]]:
    """The darker the head, the higher the value, within each donor; lamps and levels differ from donor to donor."""
    random = np.random.default_rng(1)
    patches, values, names = [], [], []
    for index in range(donors):
        for _ in range(cells):
            deviation = random.uniform(-0.3, 0.3)
            light = 1 - (0.4 + 0.5 * deviation) * head_mask(SIZE) + random.normal(0, 0.01, (SIZE, SIZE))
            patches.append((90 + 40 * index) * light)
            values.append(0.1 * 1.5**index * np.exp(deviation))
            names.append(f"D{index}")
    return np.array(patches, dtype=np.float32)[:, None], np.array(values), names


def test_the_levels_of_the_donors_do_not_change_what_is_learnt_about_cells() -> None:
    patches, values, donors = drawn_cells()
    regressor = registry().create("regressor", NAME)
    levels = np.repeat([3.0, 0.2, 1.0, 7.0], 16)
    found, other = (regressor.fit(patches, v, donors, 0).predict(patches) for v in (values, values * levels))
    ratio = other / found
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_a_new_donor_gets_the_usual_level_and_the_right_order() -> None:
    patches, values, donors = drawn_cells()
    seen = np.array(donors) != "D3"
    regressor = registry().create("regressor", NAME)
    fitted = regressor.fit(patches[seen], values[seen], [name for name in donors if name != "D3"], 0)
    found = fitted.predict(patches[~seen])
    assert np.corrcoef(found, values[~seen])[0, 1] > 0.95
    assert np.median(found) == pytest.approx(0.15, rel=0.2)  # the middle one of the three donors learnt from


def test_a_cell_and_its_mirror_image_get_the_same_value() -> None:
    patches, values, donors = drawn_cells()
    patches = patches + np.linspace(0, 30, SIZE, dtype=np.float32)[:, None]  # light from below: not symmetrical
    fitted = registry().create("regressor", NAME).fit(patches, values, donors, 0)
    mirrored = np.ascontiguousarray(patches[:8, :, ::-1])
    np.testing.assert_allclose(fitted.predict(mirrored), fitted.predict(patches[:8]), rtol=1e-4)


def test_refuses_a_single_cell() -> None:
    with pytest.raises(VsfError, match="head-descriptors cannot learn from 1 cells"):
        registry().create("regressor", NAME).fit(np.zeros((1, 1, 32, 32), np.float32), np.array([0.1]), ("A",), 0)


def test_lamp_and_camera_do_not_change_a_description() -> None:
    patches, _, _ = drawn_cells(donors=1, cells=3)
    for dim, bright in zip(describe(patches), describe(patches * np.float32(7)), strict=True):
        np.testing.assert_allclose(dim, bright, rtol=1e-3, atol=1e-3)


def test_black_corners_of_a_rotated_crop_become_background_and_dark_heads_stay() -> None:
    patch = np.full((150, 150), 140.0, np.float32)
    patch[60:90, 50:100] = 2.0  # as dark as the corner, but inside
    patch[np.add.outer(np.arange(150), np.arange(150)) < 40] = 3.0
    light = transmission(patch, 150)
    assert np.abs(light[:30, :8]).max() == 0
    assert light[75, 75] == pytest.approx(-1, abs=0.02)
    assert np.abs(light[120:, 120:]).max() == 0
    assert not transmission(np.zeros((20, 20), np.float32), 16).any()
