"""Brightfield files reach the model as linear counts, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.edge.conftest import read_brightfield
from vsf_edge.errors import EdgeError
from vsf_edge.images import write_stain
from vsf_edge.manifest import Manifest, Stain

MANIFEST = Manifest(
    input_name="brightfield",
    in_channels=1,
    input_full_scale=255.0,
    height=None,
    width=None,
    stride=4,
    stains_output="stains",
    stains=(Stain(name="dsDNA", full_scale=255.0),),
    quantities=(),
    models={},
    files={},
    document={},
)
RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8)


def test_eight_bits_are_counts(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), RAMP)
    brightfield = read_brightfield(tmp_path / "a.png", MANIFEST)
    assert brightfield.dtype == np.float32
    np.testing.assert_array_equal(brightfield[0], RAMP)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_not_rescaled(tmp_path: Path, suffix: str) -> None:
    image = (RAMP.astype(np.uint16) * 60).astype(np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), image)
    brightfield = read_brightfield(tmp_path / f"a.{suffix}", replace(MANIFEST, input_full_scale=4095.0))
    np.testing.assert_array_equal(brightfield[0], image)


def test_a_camera_that_writes_grey_as_colour_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([RAMP] * 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(read_brightfield(tmp_path / "a.tif", MANIFEST)[0], RAMP)


def test_colour_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([RAMP, RAMP, RAMP[::-1]], axis=-1), photometric="rgb")
    with pytest.raises(EdgeError, match="colour"):
        read_brightfield(tmp_path / "a.tif", MANIFEST)


def test_planes_are_the_pages_of_a_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([RAMP, RAMP[::-1]]), photometric="minisblack")
    planes = read_brightfield(tmp_path / "a.tif", replace(MANIFEST, in_channels=2))
    np.testing.assert_array_equal(planes, np.stack([RAMP, RAMP[::-1]]))
    assert read_brightfield(tmp_path / "a.tif", MANIFEST).shape == (1, 8, 8)
    with pytest.raises(EdgeError, match="2 planes and the model takes 3"):
        read_brightfield(tmp_path / "a.tif", replace(MANIFEST, in_channels=3))


@pytest.mark.parametrize(
    ("pixels", "manifest", "message"),
    [
        (RAMP, replace(MANIFEST, input_full_scale=4095.0), "8 bits"),
        (np.full((8, 8), 300, np.uint16), MANIFEST, "from 300 to 300"),
        (np.full((8, 8), -1, np.float32), MANIFEST, "from -1"),
        (np.full((8, 8), np.nan, np.float32), MANIFEST, "nan"),
        (RAMP[:6], MANIFEST, "multiples of 4"),
        (RAMP, replace(MANIFEST, width=16), "16 px wide"),
        (np.zeros((8, 8), np.float64), MANIFEST, "float64"),
    ],
)
def test_what_the_model_was_not_trained_on_is_refused(
    tmp_path: Path, pixels: np.ndarray, manifest: Manifest, message: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(EdgeError, match=message):
        read_brightfield(tmp_path / "a.tif", manifest)


@pytest.mark.parametrize("side", [8, 15, 40])
def test_a_square_crop_becomes_the_patch_that_training_saw(tmp_path: Path, side: int) -> None:
    from vsframework.dataset.geometry import resize

    crop = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), crop)
    patch = read_brightfield(tmp_path / "a.png", replace(MANIFEST, height=16, width=16))
    np.testing.assert_array_equal(patch[0], resize(crop, 16))


def test_a_crop_that_is_not_square_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), RAMP[:, :4])
    with pytest.raises(EdgeError, match="8 px high and the model takes patches 16 px high: cut square patches"):
        read_brightfield(tmp_path / "a.png", replace(MANIFEST, height=16, width=16))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"II*\x00 truncated"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(EdgeError, match=r"a\.png"):
        read_brightfield(tmp_path / "a.png", MANIFEST)


@settings(max_examples=25, deadline=None)
@given(stain=hnp.arrays(np.float32, (4, 8), elements=st.floats(0, 65535, width=32)))
def test_stains_come_back_from_the_disk_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, stain: np.ndarray
) -> None:
    folder = tmp_path_factory.mktemp("stains")
    write_stain(folder / "a.tif", stain)
    write_stain(folder / "b.tif", stain, "uint16")
    np.testing.assert_array_equal(tifffile.imread(folder / "a.tif"), stain)
    assert np.abs(tifffile.imread(folder / "b.tif").astype(np.float64) - stain).max() <= 0.5


def test_counts_that_do_not_fit_are_not_cut_off(tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match="65535"):
        write_stain(tmp_path / "a.tif", np.full((2, 2), 70000, np.float32), "uint16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realdata
def test_a_real_field_is_read_as_the_camera_wrote_it(real_data: Path) -> None:
    path = real_data / "mccallum2019_field" / "Red0.tif"
    expected = tifffile.imread(path, key=0)[..., 0]
    np.testing.assert_array_equal(read_brightfield(path, MANIFEST)[0], expected)
