"""OME-Zarr: what is written is valid by somebody else's word and read back; 0.4 and 0.5 are read chunk by chunk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs
import zarr

from vsframework.errors import UsageError, VsfError
from vsframework.images import FieldChoice, Image, ome_zarr_writer, open_field, read_image, write_ome_zarr

PIXELS = (np.arange(2 * 150 * 200).reshape(2, 150, 200) % 4001).astype(np.uint16)
IMAGE = Image(pixels=PIXELS, channels=("dsDNA", "ssDNA"), pixel_size_um=0.13, bit_depth=12)


def stored(path: Path, pixels: Any, axes: str, version: str = "0.5", /, **changes: Any) -> Path:
    """Write `pixels` as somebody else's program would."""
    described = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in axes]
    scale = [0.25] * len(axes)
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    multiscales = {"axes": described, "datasets": levels, **changes}
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    array = group.create_array("0", shape=pixels.shape, dtype=pixels.dtype, chunks=(1,) * (len(axes) - 2) + (64, 64))
    array[:] = pixels
    if version == "0.5":
        group.attrs["ome"] = {"version": version, "multiscales": [multiscales]}
    else:
        group.attrs["multiscales"] = [{"version": version, **multiscales}]
    return path


@pytest.mark.parametrize("pixel_size_um", [0.13, None])
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 12), (np.float32, 32)])
def test_what_is_written_is_valid_and_read_back(tmp_path: Path, dtype: Any, bits: int, pixel_size_um: Any) -> None:
    pixels = (PIXELS % 250).astype(dtype)
    image = Image(pixels=pixels, channels=("dsDNA", "ssDNA"), pixel_size_um=pixel_size_um, bit_depth=bits)
    write_ome_zarr(tmp_path / "f.ome.zarr", image, chunk=64)
    yaozarrs.validate_zarr_store(tmp_path / "f.ome.zarr")
    back = read_image(tmp_path / "f.ome.zarr")
    np.testing.assert_array_equal(back.pixels, pixels)
    assert back.pixels.dtype == dtype
    assert (back.channels, back.pixel_size_um, back.bit_depth) == (image.channels, pixel_size_um, bits)


def test_the_validator_would_notice(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "f.zarr", IMAGE)
    document = json.loads((tmp_path / "f.zarr" / "zarr.json").read_text())
    document["attributes"]["ome"]["multiscales"][0]["axes"].pop()
    (tmp_path / "f.zarr" / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(Exception, match="axes"):
        yaozarrs.validate_zarr_store(tmp_path / "f.zarr")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_region_costs_only_its_chunks(tmp_path: Path, version: str) -> None:
    path = stored(tmp_path / "f.zarr", PIXELS, "cyx", version)
    for chunk in [*path.glob("0/c/*/1/*"), *path.glob("0/*.1.*"), *path.glob("0/*/1/*")]:
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    field = open_field(path)
    assert (field.shape, field.chunk, field.pixel_size_um) == ((2, 150, 200), (64, 64), 0.25)
    np.testing.assert_array_equal(field.read(10, 64, 30, 200), PIXELS[:, 10:64, 30:200])
    with pytest.raises(VsfError, match="damaged"):
        field.read(10, 65, 30, 200)


def test_a_region_outside_is_wrong_use(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "f.zarr", IMAGE)
    field = open_field(tmp_path / "f.zarr")
    for region in ((0, 151, 0, 1), (-1, 1, 0, 1), (5, 5, 0, 1), (0, 1, 0, 201)):
        with pytest.raises(UsageError, match="150 rows and 200 columns"):
            field.read(*region)


def test_stacks_and_series_are_what_was_chosen(tmp_path: Path) -> None:
    stack = np.stack([PIXELS, PIXELS[:, ::-1], PIXELS[:, :, ::-1]], axis=1)[None].repeat(2, axis=0)
    stack[1] += 1
    path = stored(tmp_path / "f.zarr", stack, "tczyx")
    with pytest.raises(VsfError, match="2 time points"):
        read_image(path)
    with pytest.raises(VsfError, match="3 z planes"):
        read_image(path, FieldChoice(time=0))
    np.testing.assert_array_equal(read_image(path, FieldChoice(time=1, z="max")).pixels, stack[1].max(axis=1))
    mean = np.rint(stack[0].mean(axis=1)).astype(np.uint16)
    np.testing.assert_array_equal(read_image(path, FieldChoice(time=0, z="mean")).pixels, mean)
    with pytest.raises(VsfError, match="2 channels of 3 z planes"):
        read_image(path, FieldChoice(time=0, z="planes"))
    with pytest.raises(UsageError, match="no time point 2"):
        read_image(path, FieldChoice(time=2, z="max"))


def test_what_one_image_must_not_do(tmp_path: Path) -> None:
    stored(tmp_path / "old.zarr", PIXELS, "cyx", "0.4", version="0.1")
    stored(tmp_path / "out.zarr", PIXELS, "cyx", datasets=[{"path": "../old.zarr/0"}])
    stored(tmp_path / "order.zarr", PIXELS, "ycx")
    stored(tmp_path / "inches.zarr", PIXELS, "cyx", axes=[{"name": axis, "unit": "inch"} for axis in "cyx"])
    stored(tmp_path / "oblong.zarr", PIXELS, "cyx", coordinateTransformations=[{"type": "scale", "scale": [1, 1, 2]}])
    (tmp_path / "empty.zarr").mkdir()
    shutil.copytree(tmp_path / "order.zarr", tmp_path / "plain.zarr")
    (tmp_path / "plain.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    for name, words in (
        ("old", "0.4 and 0.5 can be read"),
        ("out", "no folder in it"),
        ("order", "in this order"),
        ("inches", "'inch'"),
        ("oblong", "square"),
        ("empty", "no OME-Zarr"),
        ("plain", "multiscales"),
    ):
        with pytest.raises(VsfError, match=words):
            read_image(tmp_path / f"{name}.zarr")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = stored(tmp_path / "f.zarr", PIXELS, "cyx", "0.4")
    metadata = json.loads((path / "0" / ".zarray").read_text())
    for change in ({"filters": [{"id": "pickle", "protocol": 5}]}, {"compressor": {"id": "pickle", "protocol": 5}}):
        (path / "0" / ".zarray").write_text(json.dumps(metadata | change))
        with pytest.raises(VsfError, match="pickle"):
            read_image(path)


def test_in_our_own_files_a_lost_chunk_is_not_blank(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "f.zarr", IMAGE, chunk=64)
    (tmp_path / "f.zarr" / "0" / "c" / "1" / "0" / "2").unlink()
    field = open_field(tmp_path / "f.zarr")
    assert field.read(0, 10, 0, 128).shape == (2, 10, 128)
    with pytest.raises(VsfError, match=r"lacks the chunk 1\.0\.2"):
        field.read(0, 10, 0, 129)


def test_a_field_that_disappears_while_being_read_is_one_sentence(tmp_path: Path) -> None:
    field = open_field(stored(tmp_path / "f.zarr", PIXELS, "cyx"))
    assert field.read(0, 10, 0, 10).any()
    shutil.rmtree(tmp_path / "f.zarr")
    with pytest.raises(VsfError, match="disappeared while it was read"):
        field.read(0, 10, 0, 10)


def test_a_field_is_written_region_by_region_whole_or_not_at_all(tmp_path: Path) -> None:
    options: dict[str, Any] = {"channels": IMAGE.channels, "pixel_size_um": 0.13, "bit_depth": 12, "chunk": 64}
    options |= {"shape": PIXELS.shape, "dtype": np.uint16}
    with ome_zarr_writer(tmp_path / "f.zarr", **options) as pixels:
        for top in range(0, 150, 64):
            pixels[:, top : top + 64] = PIXELS[:, top : top + 64]
    np.testing.assert_array_equal(read_image(tmp_path / "f.zarr").pixels, PIXELS)

    def fail() -> None:
        with ome_zarr_writer(tmp_path / "f.zarr", **options) as pixels:
            pixels[:] = 0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    np.testing.assert_array_equal(read_image(tmp_path / "f.zarr").pixels, PIXELS)
    assert [path.name for path in tmp_path.iterdir()] == ["f.zarr"]


def test_nothing_else_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "f.zarr").mkdir()
    (tmp_path / "f.zarr" / "notes.txt").write_text("mine")
    with pytest.raises(VsfError, match="no OME-Zarr"):
        write_ome_zarr(tmp_path / "f.zarr", IMAGE)
    with pytest.raises(UsageError, match="end in"):
        write_ome_zarr(tmp_path / "f.tif", IMAGE)
