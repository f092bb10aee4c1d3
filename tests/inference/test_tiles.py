"""Fields larger than a patch: tiles of the size that was trained, without seams and with bounded influence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsframework.inference import Stainer
from vsframework.inference.tiles import stain_in_tiles

Float32Array = npt.NDArray[np.float32]

TILE = 16


@pytest.fixture(scope="module")
def stainer(trained_run: Path) -> Stainer:
    return Stainer.load(trained_run)


def field(height: int, width: int, seed: int = 0) -> Float32Array:
    return np.random.default_rng(seed).integers(0, 256, (1, 1, height, width)).astype(np.float32)


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 9))
def test_what_needs_no_neighbours_is_stained_exactly(height: int, width: int, batch: int) -> None:
    """A stain that is a function of the pixel alone comes out as without tiles, at any size."""
    image = field(height, width)[0]
    tile = (min(height, TILE), min(width, TILE))
    found = stain_in_tiles(image, tile, lambda tiles: np.concatenate([tiles, 255 - tiles], axis=1), 2, batch)
    np.testing.assert_allclose(found, np.concatenate([image, 255 - image]), rtol=1e-5, atol=1e-3)


def test_where_two_tiles_meet_there_is_no_step() -> None:
    """Each tile is stained by its own mean: a ramp comes out, and never a jump from one tile's to the next."""
    image = np.repeat(np.arange(96, dtype=np.float32)[None, None], TILE, axis=1)

    def by_mean(tiles: Float32Array) -> Float32Array:
        return np.broadcast_to(tiles.mean((2, 3), keepdims=True), tiles.shape).astype(np.float32)

    steps = np.diff(stain_in_tiles(image, (TILE, TILE), by_mean, 1, 4)[0, 0])
    apart = TILE / 2  # the means of neighbouring tiles
    assert 0 < steps.max() < 0.25 * apart


def test_nothing_farther_away_than_a_tile_has_an_influence(stainer: Stainer) -> None:
    image = field(40, 80)
    other = image.copy()
    other[..., 48:] = 0
    near, changed = stainer.stain(image), stainer.stain(other)
    np.testing.assert_array_equal(near[..., : 48 - TILE], changed[..., : 48 - TILE])
    assert not np.array_equal(near[..., 48 - TILE :], changed[..., 48 - TILE :])


def test_a_stain_moves_with_the_field_by_half_a_tile(stainer: Stainer) -> None:
    image = field(64, 64)
    whole, part = stainer.stain(image), stainer.stain(image[..., 8:, 24:])
    inside = np.s_[..., TILE : 64 - 8 - TILE, TILE : 64 - 24 - TILE]
    np.testing.assert_allclose(part[inside], whole[..., 8:, 24:][inside], rtol=1e-4, atol=1e-3)


def test_a_patch_is_one_tile(stainer: Stainer) -> None:
    patch = field(TILE, TILE)
    alone = stainer.stain(patch)
    beside = stainer.stain(np.concatenate([patch, field(TILE, TILE, seed=1)], axis=3))
    assert alone.shape == (1, 2, TILE, TILE)
    # the first half of a tile's side is seen by that tile alone, or nearly so
    np.testing.assert_allclose(beside[..., :4, :4], alone[..., :4, :4], rtol=1e-3, atol=1e-2)


def test_tiles_in_other_batches_give_the_same(stainer: Stainer) -> None:
    image = field(40, 40)
    np.testing.assert_allclose(
        stainer.stain(image, batch_size=3), stainer.stain(image, batch_size=1), rtol=1e-4, atol=1e-3
    )
