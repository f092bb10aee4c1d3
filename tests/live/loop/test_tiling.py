"""Tiles: they cover everything, their weights add up to one, and an image that is not stained comes back as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsf_edge.errors import EdgeError
from vsf_edge.tiling import Tiling


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(2, 150), width=st.integers(2, 150), side=st.integers(8, 64), seed=st.integers(0, 9),
    dtype=st.sampled_from([np.uint8, np.uint16])
)  # fmt: skip
def test_an_image_survives_cutting_and_blending(height: int, width: int, side: int, seed: int, dtype: type) -> None:
    field = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(dtype)
    tiling = Tiling(height, width, side, side)
    tiles = np.empty((len(tiling), 1, side, side), dtype)
    tiling.cut(tiling.padded(field), tiles)
    stains = np.concatenate([tiles, 2 * tiles.astype(np.float32)], axis=1).astype(np.float32)
    blended = tiling.blend(map(tiling.shrunk, stains, range(len(tiling))))
    np.testing.assert_allclose(blended[0], field, atol=2e-4)
    np.testing.assert_allclose(blended[1], 2.0 * field, atol=4e-4)


def test_tiles_are_resized_to_the_patch_and_back() -> None:
    rows, columns = np.mgrid[:300, :420]
    field = (100 + 50 * np.sin(rows / 40) + 50 * np.cos(columns / 50)).astype(np.uint16)
    for size in (75, 150, 256):
        tiling = Tiling(300, 420, 150, size)
        tiles = np.empty((len(tiling), 1, size, size), np.uint16)
        tiling.cut(field, tiles)
        blended = tiling.blend(map(tiling.shrunk, tiles.astype(np.float32), range(len(tiling))))
        assert np.abs(blended[0] - field).max() < 3


def test_where_tiles_disagree_there_is_no_seam() -> None:
    tiling = Tiling(64, 200, 64, 64)
    levels = np.arange(len(tiling), dtype=np.float32).reshape(-1, 1, 1, 1) * np.ones((1, 1, 64, 64), np.float32)
    line = tiling.blend(map(tiling.shrunk, levels, range(len(tiling))))[0, 30]
    assert np.abs(np.diff(line)).max() < 0.1  # one level over two halos of 8 pixels
    assert line[0] == 0
    assert line[-1] == pytest.approx(len(tiling) - 1)


def test_a_field_of_one_pixel_is_refused() -> None:
    with pytest.raises(EdgeError, match="too small"):
        Tiling(1, 5, 8, 8)
