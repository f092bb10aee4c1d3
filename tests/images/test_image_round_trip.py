"""What is written is read back: counts, names, pixel size, bit depth."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vsframework.errors import UsageError, VsfError
from vsframework.images import Image, read_image, write_imagej_tiff, write_ome_tiff
from vsframework.images.writing import colour_of

Writer = Callable[[Path, Image], None]
WRITERS = pytest.mark.parametrize("write", [write_ome_tiff, write_imagej_tiff])

name = st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable() and text.strip() == text)


@st.composite
def images(draw: st.DrawFn) -> Image:
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9))
    bits = draw(st.sampled_from([1, 8, 10, 12, 16, 32]))
    elements: Any
    if bits == 32:
        elements = st.floats(width=32, allow_nan=False, allow_infinity=False)
        pixels = draw(hnp.arrays(np.float32, shape, elements=elements))
    else:
        dtype = np.uint8 if bits <= 8 else np.uint16
        pixels = draw(hnp.arrays(dtype, shape, elements=st.integers(0, 2**bits - 1)))
    return Image(
        pixels=pixels,
        channels=tuple(draw(st.lists(name, min_size=shape[0], max_size=shape[0], unique=True))),
        pixel_size_um=draw(st.none() | st.floats(1e-3, 1e3)),
        bit_depth=bits,
    )


def assert_same(one: Image, other: Image) -> None:
    assert other.pixels.dtype == one.pixels.dtype
    np.testing.assert_array_equal(other.pixels, one.pixels)
    assert other.channels == one.channels
    assert other.bit_depth == one.bit_depth
    assert (other.pixel_size_um is None) == (one.pixel_size_um is None)


@given(image=images())
@settings(max_examples=60, deadline=None)
def test_ome_tiff_keeps_everything(image: Image) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.ome.tif"
        write_ome_tiff(path, image)
        back = read_image(path)
    assert_same(image, back)
    assert back.pixel_size_um == image.pixel_size_um
    assert back.path == path


@given(image=images())
@settings(max_examples=60, deadline=None)
def test_imagej_tiff_keeps_everything_to_a_rational_of_32_bits(image: Image) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.tif"
        write_imagej_tiff(path, image)
        back = read_image(path)
    assert_same(image, back)
    if image.pixel_size_um is not None:
        assert back.pixel_size_um == pytest.approx(image.pixel_size_um, rel=1e-6)


def field(**changes: Any) -> Image:
    pixels = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50) % 4096
    parts: dict[str, Any] = {
        "pixels": pixels,
        "channels": ("brightfield", "dsDNA", "ssDNA"),
        "pixel_size_um": 0.13,
        "bit_depth": 12,
    }
    return Image(**{**parts, **changes})


def test_tiles_hold_the_same_counts(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "tiled.tif", field(), tile=16)
    assert_same(field(), read_image(tmp_path / "tiled.tif"))
    with tifffile.TiffFile(tmp_path / "tiled.tif") as tiff:
        assert tiff.pages.first.is_tiled


def test_ome_tiff_is_stored_in_strips_without_compression_as_imagej_needs_it(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "f.ome.tif", field())
    with tifffile.TiffFile(tmp_path / "f.ome.tif") as tiff:
        assert not tiff.is_bigtiff
        pages = [page.aspage() for page in tiff.pages]
        assert [(page.is_tiled, int(page.compression)) for page in pages] == [(False, 1)] * 3


def test_ome_xml_says_what_other_programs_look_for(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "f.ome.tif", field())
    with tifffile.TiffFile(tmp_path / "f.ome.tif") as tiff:
        root = ElementTree.fromstring(tiff.ome_metadata or "")
    pixels = root.find("{*}Image/{*}Pixels")
    assert pixels is not None
    said = {key: pixels.get(key) for key in ("PhysicalSizeX", "PhysicalSizeYUnit", "SignificantBits", "SizeC")}
    assert said == {"PhysicalSizeX": "0.13", "PhysicalSizeYUnit": "µm", "SignificantBits": "12", "SizeC": "3"}
    colours = [int(channel.get("Color", "0")) for channel in pixels.findall("{*}Channel")]
    # signed 32-bit RGBA: white, green, red, all opaque
    assert colours == [-1, 0x00FF00FF, 0xFF0000FF - 2**32]


@WRITERS
def test_one_image_gives_one_file_byte_for_byte(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "a.tif", field())
    write(tmp_path / "b.tif", field())
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@WRITERS
def test_a_view_with_gaps_is_written_as_it_looks(write: Writer, tmp_path: Path) -> None:
    view = field(pixels=field().pixels[:, ::-2, ::3])
    write(tmp_path / "view.tif", view)
    assert_same(view, read_image(tmp_path / "view.tif"))


@WRITERS
def test_an_image_spoilt_after_it_was_made_leaves_the_older_file(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "f.tif", field())
    older = (tmp_path / "f.tif").read_bytes()
    spoilt = field(pixels=np.zeros((3, 4, 5), np.float32), bit_depth=32)
    spoilt.pixels[0, 0, 0] = np.nan
    with pytest.raises(VsfError, match="NaN"):
        write(tmp_path / "f.tif", spoilt)
    assert (tmp_path / "f.tif").read_bytes() == older
    assert list(tmp_path.iterdir()) == [tmp_path / "f.tif"]


@WRITERS
def test_a_name_that_is_no_tiff_is_wrong_use(write: Writer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"end in \.tif"):
        write(tmp_path / "field.png", field())
    assert not list(tmp_path.iterdir())


@WRITERS
def test_a_folder_in_the_way_is_one_sentence(write: Writer, tmp_path: Path) -> None:
    (tmp_path / "f.tif").mkdir()
    with pytest.raises(VsfError, match="is a folder"):
        write(tmp_path / "f.tif", field())


@pytest.mark.parametrize("tile", [0, 8, 100])
def test_a_tile_that_tiff_cannot_hold_is_wrong_use(tile: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiple of 16"):
        write_ome_tiff(tmp_path / "f.tif", field(), tile=tile)


def test_channels_of_one_image_differ_in_colour() -> None:
    for channels in (("dsDNA", "ssDNA", "x", "y", "z", "Hoechst"), ("a", "b", "c", "d", "e", "f")):
        colours = [colour_of(channels, index) for index in range(len(channels))]
        assert len(set(colours)) == len(channels)
    assert colour_of(("anything",), 0) == (255, 255, 255)
