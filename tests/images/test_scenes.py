"""Of a TIFF that holds several images, one is chosen by its number, with its own names and pixel size."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from vsframework.errors import VsfError
from vsframework.images import FieldChoice, Image, open_field, read_image, write_ome_tiff

LEFT = np.arange(2 * 30 * 40, dtype=np.uint16).reshape(2, 30, 40)
RIGHT = LEFT[:, ::-1, 4:] * 2


def described(name: str, channels: list[str], pixel_size_um: float) -> dict[str, Any]:
    sizes = {"PhysicalSizeX": pixel_size_um, "PhysicalSizeY": pixel_size_um}
    return {"axes": "CYX", "Name": name, "Channel": {"Name": channels}, **sizes}


@pytest.fixture(params=[None, "zlib", "lzw"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tifffile.TiffWriter(tmp_path / "f.ome.tif", ome=True) as tiff:
        options: Any = {"photometric": "minisblack", "compression": request.param}
        tiff.write(LEFT, metadata=described("left", ["BF", "dsDNA"], 0.1), **options)
        tiff.write(RIGHT, metadata=described("right", ["dsDNA", "ssDNA"], 0.2), **options)
    return tmp_path / "f.ome.tif"


def test_each_image_comes_with_its_own_description(two: Path) -> None:
    left, right = (read_image(two, FieldChoice(scene=scene)) for scene in (0, 1))
    np.testing.assert_array_equal(left.pixels, LEFT)
    np.testing.assert_array_equal(right.pixels, RIGHT)
    assert (left.channels, left.pixel_size_um) == (("BF", "dsDNA"), 0.1)
    assert (right.channels, right.pixel_size_um) == (("dsDNA", "ssDNA"), 0.2)
    part = open_field(two, FieldChoice(scene=1)).read(3, 20, 5, 30, "ssDNA")
    np.testing.assert_array_equal(part, RIGHT[1:, 3:20, 5:30])


def test_several_without_a_choice_are_told_by_number_name_and_size(two: Path) -> None:
    words = "f.ome.tif holds 2 images (0: left 40x30, 1: right 36x30): say which one by its number, from 0 (scene)"
    with pytest.raises(VsfError, match=re.escape(words)):
        read_image(two)


@pytest.mark.parametrize("scene", [2, -1])
def test_one_that_is_not_there(two: Path, scene: int) -> None:
    with pytest.raises(VsfError, match=re.escape(f"has no scene {scene}: it holds 2 images (0: left 40x30, 1: right")):
        read_image(two, FieldChoice(scene=scene))


def test_a_file_of_one_image_has_scene_0_and_no_other(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "f.ome.tif", Image(pixels=LEFT, channels=("BF", "dsDNA"), bit_depth=16))
    np.testing.assert_array_equal(read_image(tmp_path / "f.ome.tif", FieldChoice(scene=0)).pixels, LEFT)
    with pytest.raises(VsfError, match="has no scene 1: it holds one image, counted from 0"):
        read_image(tmp_path / "f.ome.tif", FieldChoice(scene=1))


def test_series_of_a_plain_tiff(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "f.tif") as tiff:
        tiff.write(LEFT[0], metadata=None)
        tiff.write(LEFT[1].astype(np.float32), metadata=None)
        tiff.write(LEFT[0, :8, :9], metadata=None)
    for scene, pixels in enumerate((LEFT[0], LEFT[1].astype(np.float32), LEFT[0, :8, :9])):
        image = read_image(tmp_path / "f.tif", FieldChoice(scene=scene))
        assert image.pixels.dtype == pixels.dtype
        np.testing.assert_array_equal(image.pixels[0], pixels)
    with pytest.raises(VsfError, match=re.escape("holds 3 images (0: 40x30, 1: 40x30, 2: 9x8): say which one")):
        read_image(tmp_path / "f.tif")


def test_a_thumbnail_before_the_image_gives_it_neither_name_nor_pixel_size(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "f.ome.tif", ome=True) as tiff:
        tiff.write(LEFT[:, ::4, ::4], photometric="minisblack", metadata=described("label", ["R", "G"], 5))
        tiff.write(LEFT, photometric="minisblack", metadata=described("cells", ["BF", "dsDNA"], 0.1))
    image = read_image(tmp_path / "f.ome.tif")
    np.testing.assert_array_equal(image.pixels, LEFT)
    assert (image.channels, image.pixel_size_um) == (("BF", "dsDNA"), 0.1)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_set_with_an_image_in_each_file(tmp_path: Path, compression: str | None) -> None:
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{index}" for index in range(2)]
    parts = "".join(
        f'<Image ID="Image:{index}" Name="p{index}"><Pixels ID="Pixels:{index}" DimensionOrder="XYCZT" Type="uint16" '
        f'SizeX="40" SizeY="30" SizeC="1" SizeZ="1" SizeT="1" PhysicalSizeX="0.{index + 1}" '
        f'PhysicalSizeY="0.{index + 1}"><Channel ID="Channel:{index}:0" Name="c{index}" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="1"><UUID FileName="{index}.ome.tif">{uuid}</UUID></TiffData></Pixels></Image>'
        for index, uuid in enumerate(uuids)
    )
    for index, uuid in enumerate(uuids):
        xml = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}">{parts}</OME>'
        tifffile.imwrite(
            tmp_path / f"{index}.ome.tif", LEFT[index], description=xml, metadata=None, compression=compression
        )
    for index in range(2):
        image = read_image(tmp_path / f"{index}.ome.tif")  # the one that lies in this file
        np.testing.assert_array_equal(image.pixels, LEFT[index : index + 1])
        assert (image.channels, image.pixel_size_um) == ((f"c{index}",), (0.1, 0.2)[index])
        other = read_image(tmp_path / f"{index}.ome.tif", FieldChoice(scene=1 - index))
        np.testing.assert_array_equal(other.pixels, LEFT[1 - index : 2 - index])
    (tmp_path / "1.ome.tif").unlink()
    with pytest.raises(VsfError, match=r"1\.ome\.tif is missing, and other files of its OME set need it"):
        read_image(tmp_path / "0.ome.tif")
