"""Parts with a halo: what a network that sees only so far makes of them is what it makes of the whole field."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.scripted import manifest
from vsf_edge.errors import EdgeError
from vsf_edge.halo_tiling import HaloTiling, TooManyPartsError, field_tiling
from vsf_edge.interfaces import Array
from vsf_edge.tiling import Tiling

STRIDE, HALO = 8, 16


def network(image: Array) -> Array:
    """Means of blocks of 8 pixels, blurred over 3 blocks: sees 16 pixels far, and depends on where blocks begin."""
    small = cv2.resize(image, None, fx=1 / STRIDE, fy=1 / STRIDE, interpolation=cv2.INTER_AREA)
    smooth = cv2.blur(small, (3, 3), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(np.repeat(np.repeat(smooth, STRIDE, axis=0), STRIDE, axis=1), dtype=np.float32)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(2, 400), width=st.integers(2, 400), most=st.integers(80, 300), workers=st.integers(1, 5),
    seed=st.integers(0, 9)
)  # fmt: skip
def test_parts_are_stained_as_the_whole_field_is(height: int, width: int, most: int, workers: int, seed: int) -> None:
    field = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    tiling = HaloTiling(height, width, 64, 64, stride=STRIDE, halo=HALO, most=most, workers=workers)
    padded = tiling.padded(field)
    parts = np.empty((len(tiling), 1, *tiling.part), np.uint8)
    tiling.cut(padded, parts)
    assert max(tiling.part) <= most
    assert all(side % STRIDE == 0 for side in tiling.part)
    stains = [np.stack([network(part[0].astype(np.float32)), part[0].astype(np.float32)]) for part in parts]
    blended = tiling.blend(map(tiling.shrunk, stains, range(len(tiling))))
    np.testing.assert_array_equal(blended[1], field)
    np.testing.assert_allclose(blended[0], network(padded.astype(np.float32))[:height, :width], rtol=1e-5)


@pytest.mark.parametrize(("side", "size"), [(75, 128), (128, 64)])
def test_parts_are_resized_to_the_scale_of_training_and_back(side: int, size: int) -> None:
    rows, columns = np.mgrid[:700, :900]
    field = (100 + 50 * np.sin(rows / 40) + 50 * np.cos(columns / 50)).astype(np.uint16)
    tiling = HaloTiling(700, 900, side, size, stride=32, halo=32, most=384)
    assert len(tiling) > 1
    parts = np.empty((len(tiling), 1, *tiling.part), np.uint16)
    tiling.cut(tiling.padded(field), parts)
    blended = tiling.blend(map(tiling.shrunk, parts.astype(np.float32), range(len(tiling))))
    assert np.abs(blended[0] - field).max() < 3


def test_all_cores_get_work() -> None:
    def parts(workers: int) -> int:
        return len(HaloTiling(1000, 1000, 64, 64, stride=8, halo=16, most=2000, workers=workers))

    assert parts(1) == 1
    assert parts(2) % 2 == 0
    assert parts(4) % 4 == 0


def test_a_halo_as_large_as_the_largest_part_is_refused() -> None:
    with pytest.raises(TooManyPartsError, match="128 pixels at most"):
        HaloTiling(1000, 1000, 64, 64, stride=8, halo=64, most=128)
    with pytest.raises(EdgeError, match="too small"):
        HaloTiling(1, 1000, 64, 64, stride=8, halo=8, most=128)


def test_what_the_bundle_says_decides_how_a_field_is_cut() -> None:
    fixed = replace(manifest(), height=64, width=64, stride=8)
    seen = replace(fixed, height=None, width=None, training_patch=64, halo_px=16, max_height=512, max_width=512)
    assert isinstance(field_tiling(seen, 1000, 1000, 64), HaloTiling)
    assert isinstance(field_tiling(replace(seen, halo_px=None), 1000, 1000, 64), Tiling)
    assert isinstance(field_tiling(fixed, 1000, 1000, 64), Tiling)
    assert isinstance(field_tiling(replace(seen, max_height=32, max_width=32), 1000, 1000, 64), Tiling)
    with pytest.raises(EdgeError, match="no square patches"):
        field_tiling(replace(fixed, width=32), 1000, 1000, 64)
