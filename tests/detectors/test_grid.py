"""Tiles of a field: whole, in reading order, and every pixel of the field in one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsf_plugins.detectors.grid import Grid, GridParams
from vsframework.dataset.geometry import cut, upright_matrix
from vsframework.errors import VsfError


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (height, width), dtype=np.uint16)


@given(st.integers(8, 60), st.integers(8, 60), st.integers(8, 20), st.integers(1, 20))
def test_every_pixel_is_in_a_tile_and_no_tile_leaves_the_field(height: int, width: int, size: int, step: int) -> None:
    seen = np.zeros((height, width), dtype=int)
    tiles = Grid(GridParams(size=size, step=min(step, size))).detect(noise(height, width))
    for tile in tiles:
        left, top = tile.x - (size - 1) / 2, tile.y - (size - 1) / 2
        assert (left, top) == (int(left), int(top))
        assert 0 <= left <= width - size
        assert 0 <= top <= height - size
        seen[int(top) : int(top) + size, int(left) : int(left) + size] += 1
    assert (seen > 0).all() or min(height, width) < size
    assert len({(tile.x, tile.y) for tile in tiles}) == len(tiles)


def test_tiles_follow_each_other_by_the_step_and_the_last_ends_at_the_border() -> None:
    tiles = Grid(GridParams(size=16, step=8)).detect(noise(16, 43))
    assert [tile.x - 7.5 for tile in tiles] == [0, 8, 16, 24, 27]
    assert {(tile.angle, tile.length, tile.score) for tile in tiles} == {(0.0, 16.0, 1.0)}


def test_a_tile_is_cut_pixel_by_pixel() -> None:
    field = noise(40, 50)
    for tile in Grid(GridParams(size=16, step=11)).detect(field):
        left, top = int(tile.x - 7.5), int(tile.y - 7.5)
        patch = cut(field, upright_matrix(tile, 16), (16, 16), 16)
        np.testing.assert_array_equal(patch, field[top : top + 16, left : left + 16])


def test_tiles_without_anything_are_left_out() -> None:
    field = np.full((16, 48), 700, dtype=np.uint16)
    field[3, 20] = 701
    (tile,) = Grid(GridParams(size=16, step=16)).detect(field)
    assert tile.x == 23.5


def test_a_stack_is_refused_in_one_sentence() -> None:
    with pytest.raises(VsfError, match="one brightfield plane"):
        Grid(GridParams()).detect(np.zeros((3, 300, 300)))
