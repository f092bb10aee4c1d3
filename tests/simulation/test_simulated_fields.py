"""Simulated fields: the same for a seed, and their pixels agree with their truth."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.geometry import Floats, compose, invert, warp
from vsframework.simulation.options import CROP_PX, SimulationOptions
from vsframework.simulation.study import simulate_study_field

OPTIONS = SimulationOptions(width=960, height=640, cells_per_field=4, seed=11)
DEEP = OPTIONS.model_copy(update={"bit_depth": 16})


@pytest.fixture(scope="module")
def fields() -> list[SimulatedField]:
    return [simulate_study_field(DEEP, donor, 0) for donor in range(4)]


def digest(field: SimulatedField) -> str:
    images = (field.brightfield, field.dsdna, field.ssdna, *field.crops)
    return hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()


def patch(image: npt.NDArray[np.generic], crop: Floats, to_image: Floats) -> Floats:
    return warp(image, compose(to_image, invert(crop)), (CROP_PX, CROP_PX))


def test_a_seed_gives_the_same_pixels_whatever_else_is_simulated() -> None:
    small = OPTIONS.model_copy(update={"width": 480, "height": 360, "cells_per_field": 2.0})
    alone = simulate_study_field(small, 1, 3)
    among_more = small.model_copy(update={"donors": 40, "fields": 500})
    assert digest(simulate_study_field(among_more, 1, 3)) == digest(alone)
    others = {
        digest(simulate_study_field(small, 1, 4)),
        digest(simulate_study_field(small, 2, 3)),
        digest(simulate_study_field(small.model_copy(update={"seed": 12}), 1, 3)),
    }
    assert len(others | {digest(alone)}) == 4


def test_bit_depth_changes_only_the_digitisation() -> None:
    coarse, fine = simulate_study_field(OPTIONS, 0, 0), simulate_study_field(DEEP, 0, 0)
    assert (coarse.dsdna.dtype.name, fine.dsdna.dtype.name) == ("uint8", "uint16")
    assert [cell.dfi for cell in coarse.cells] == [cell.dfi for cell in fine.cells]
    unsaturated = coarse.brightfield < 255
    difference = coarse.brightfield.astype(float) - fine.brightfield / 256
    assert np.abs(difference[unsaturated]).max() <= 0.5


def test_the_pixels_of_a_lone_cell_integrate_to_its_dfi() -> None:
    checked = 0
    bright = DEEP.model_copy(update={"background": 12.0})
    for field in (simulate_study_field(bright, donor, 0) for donor in range(4)):
        if min(field.background) < 0.8:
            continue  # the camera clips the noise at zero, which adds light to the sum
        for cell in field.cells:
            corners = warp(np.ones(field.dsdna.shape), compose(field.to_dsdna, invert(cell.crop)), (150, 150))
            if cell.overlapping or corners.min() < 0.999:  # cut by the border
                continue
            green = patch(field.dsdna / 256 - field.background[0], cell.crop, field.to_dsdna).sum()
            red = patch(field.ssdna / 256 - field.background[1], cell.crop, field.to_dsdna).sum()
            # noise of 22 500 pixels, and up to 2 % that belongs to something else
            assert green == pytest.approx(cell.green_sum, rel=0.025)
            assert red == pytest.approx(cell.red_sum, rel=0.03)
            assert red / (green + red) == pytest.approx(cell.dfi, abs=0.003)
            checked += 1
    assert checked >= 5


def test_the_noise_free_sums_have_exactly_the_drawn_dfi(fields: list[SimulatedField]) -> None:
    for cell in (cell for field in fields for cell in field.cells):
        assert cell.red_sum / (cell.green_sum + cell.red_sum) == pytest.approx(cell.dfi, rel=1e-9)


def test_crops_lie_where_their_homography_says(fields: list[SimulatedField]) -> None:
    for field in fields:
        for cell, crop in zip(field.cells, field.crops, strict=True):
            np.testing.assert_allclose(cell.crop @ [cell.x, cell.y, 1], [74.5, 74.5, 1], atol=1e-9)
            tip = [cell.x + 40 * np.cos(cell.angle), cell.y + 40 * np.sin(cell.angle), 1]
            np.testing.assert_allclose(cell.crop @ tip, [114.5, 74.5, 1], atol=1e-9)
            expected = patch(field.brightfield, cell.crop, np.eye(3))
            np.testing.assert_allclose(crop, expected, atol=0.5001)


def test_heads_shine_where_the_displacement_puts_them(fields: list[SimulatedField]) -> None:
    for field in fields:
        assert not np.array_equal(field.to_dsdna, np.eye(3))
        for cell in field.cells:
            stain = patch(field.dsdna / 256 - field.background[0], cell.crop, field.to_dsdna)
            base = stain[60:90, 45:75].mean()  # behind the middle, towards the tail
            assert base > 25
            if not cell.overlapping:
                assert abs(float(np.median(stain[:15]))) < 2


def test_without_displacement_nothing_is_displaced() -> None:
    field = simulate_study_field(OPTIONS.model_copy(update={"displacement": 0.0}), 0, 0)
    np.testing.assert_array_equal(field.to_dsdna, np.eye(3))
    np.testing.assert_array_equal(field.to_ssdna, np.eye(3))


def test_heads_are_dark_and_their_halo_is_bright(fields: list[SimulatedField]) -> None:
    for field in fields:
        empty = float(np.median(field.brightfield))
        for cell, crop in zip(field.cells, field.crops, strict=True):
            assert crop[55:95, 35:70].mean() < 0.85 * empty
            if not cell.overlapping:
                ring = np.sort(crop[15:135, 20:130].ravel())[-200:]
                assert ring.mean() > 1.1 * empty


def test_the_background_is_the_offset(fields: list[SimulatedField]) -> None:
    rows, columns = np.mgrid[0:640, 0:960]
    for field in fields:
        away = np.all([np.hypot(columns - cell.x, rows - cell.y) > 130 for cell in field.cells], axis=0)
        for image, offset in zip((field.dsdna, field.ssdna), field.background, strict=True):
            assert 0 <= offset <= 3
            if offset > 0.8:  # below, noise is clipped at zero
                assert np.median(image[away]) / 256 == pytest.approx(offset, abs=0.03)
