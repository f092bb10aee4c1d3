"""Every kind of file that a lab has is read as it is stored, and what is ambiguous is refused with advice."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from vsframework.errors import VsfError
from vsframework.images import Image, read_image, write_ome_tiff

GREY8 = (np.arange(30 * 41).reshape(30, 41) % 251).astype(np.uint8)
GREY16 = (np.arange(30 * 41).reshape(30, 41) * 53).astype(np.uint16)
COLOUR = np.stack([GREY8, GREY8[::-1], GREY8[:, ::-1]], axis=-1)


def refused(path: Path, words: str) -> None:
    with pytest.raises(VsfError, match=words) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits", "deflate"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("pixels", [GREY8, GREY16, GREY16.astype(np.float32)], ids=["uint8", "uint16", "float32"])
def test_plain_tiff(tmp_path: Path, compression: str | None, byteorder: Any, pixels: Any) -> None:
    tifffile.imwrite(tmp_path / "f.tif", pixels, compression=compression, byteorder=byteorder, rowsperstrip=7)
    image = read_image(tmp_path / "f.tif")
    assert image.pixels.dtype == pixels.dtype  # and of this machine's byte order
    np.testing.assert_array_equal(image.pixels, pixels[None])
    assert image.bit_depth == pixels.dtype.itemsize * 8
    assert image.channels == ("C0",)
    assert image.pixel_size_um is None


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb_with_equal_channels_is_one_channel(tmp_path: Path, compression: str | None, planar: Any) -> None:
    rgb = np.repeat(GREY8[..., None], 3, axis=-1)
    rgb = rgb if planar == "contig" else rgb.transpose(2, 0, 1)
    options: dict[str, Any] = {"predictor": True} if compression and planar == "contig" else {}
    tifffile.imwrite(
        tmp_path / "f.tif",
        rgb,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        resolution=(96, 96),
        **options,
    )
    image = read_image(tmp_path / "f.tif")
    np.testing.assert_array_equal(image.pixels, GREY8[None])
    assert image.pixel_size_um is None  # 96 per inch is a screen's resolution


def test_true_colour_is_three_named_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", COLOUR, photometric="rgb")
    (tmp_path / "f.png").write_bytes(imagecodecs.png_encode(COLOUR))
    for name in ("f.tif", "f.png"):
        image = read_image(tmp_path / name)
        assert image.channels == ("R", "G", "B")
        np.testing.assert_array_equal(image.pixels, COLOUR.transpose(2, 0, 1))


def test_same_shaped_pages_are_channels_and_a_thumbnail_is_not(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "f.tif") as tiff:
        for page in (GREY8, GREY8[::-1], GREY8[:8, :9]):
            tiff.write(page, metadata=None, compression="lzw")
    image = read_image(tmp_path / "f.tif")
    assert image.channels == ("C0", "C1")
    np.testing.assert_array_equal(image.pixels, [GREY8, GREY8[::-1]])


def test_pyramid_levels_are_ignored(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "f.ome.tif") as tiff:
        tiff.write(GREY16, subifds=1, metadata={"axes": "YX"})
        tiff.write(GREY16[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_image(tmp_path / "f.ome.tif").pixels, GREY16[None])


@pytest.mark.parametrize(
    ("kind", "axes"), [("ome", "ZYX"), ("ome", "TYX"), ("imagej", "ZYX"), ("imagej", "TYX"), ("ome", "ZCYX")]
)
def test_stacks_and_series_are_refused_with_advice(tmp_path: Path, kind: str, axes: str) -> None:
    shape = (2,) * (len(axes) - 2) + GREY16.shape
    tifffile.imwrite(tmp_path / "f.tif", np.zeros(shape, np.uint16), metadata={"axes": axes}, **{kind: True})  # type: ignore[arg-type]
    refused(tmp_path / "f.tif", "one file is one field")


def test_many_pages_without_a_word_are_not_taken_for_channels(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "f.tif") as tiff:
        for _ in range(65):
            tiff.write(GREY8[:2, :2], metadata=None)
    refused(tmp_path / "f.tif", "65 pages")


def test_two_images_in_one_file_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "f.ome.tif", ome=True) as tiff:
        tiff.write(GREY8)
        tiff.write(GREY8)
    refused(tmp_path / "f.ome.tif", "save one file for each")


@pytest.mark.parametrize(
    ("unit", "factor"), [("µm", 1.0), ("μm", 1.0), ("nm", 1e-3), ("mm", 1e3), ("pixel", None), (None, 1.0)]
)
def test_ome_pixel_size_in_any_length(tmp_path: Path, unit: str | None, factor: float | None) -> None:
    metadata: dict[str, Any] = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "f.ome.tif", GREY8, metadata=metadata)
    size = read_image(tmp_path / "f.ome.tif").pixel_size_um
    assert size == (None if factor is None else pytest.approx(0.25 * factor))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("um", 0.5), ("micron", 0.5), ("\\u00B5m", 0.5), ("mm", 500.0), ("inch", None), ("pixel", None)],
)
def test_imagej_pixel_size(tmp_path: Path, unit: str, expected: float | None) -> None:
    tifffile.imwrite(tmp_path / "f.tif", GREY8, imagej=True, resolution=(2, 2), metadata={"unit": unit})
    size = read_image(tmp_path / "f.tif").pixel_size_um
    assert size == (None if expected is None else pytest.approx(expected))


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.26}
    tifffile.imwrite(tmp_path / "f.ome.tif", GREY8, metadata={"axes": "YX", **sizes})
    refused(tmp_path / "f.ome.tif", "square")
    tifffile.imwrite(tmp_path / "f.tif", GREY8, imagej=True, resolution=(2, 3), metadata={"unit": "um"})
    refused(tmp_path / "f.tif", "square")


def test_a_unit_that_is_no_length_is_refused(tmp_path: Path) -> None:
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "furlong"}
    tifffile.imwrite(tmp_path / "f.ome.tif", GREY8, metadata=metadata)
    refused(tmp_path / "f.ome.tif", "furlong")


def test_significant_bits_are_honoured_where_the_counts_respect_them(tmp_path: Path) -> None:
    for largest, expected in ((4095, 12), (4096, 16)):
        pixels = np.full((5, 6), largest, np.uint16)
        tifffile.imwrite(tmp_path / "f.ome.tif", pixels, metadata={"axes": "YX", "SignificantBits": 12})
        assert read_image(tmp_path / "f.ome.tif").bit_depth == expected


def test_names_that_are_not_different_are_numbers(tmp_path: Path) -> None:
    pixels = np.stack([GREY8, GREY8])
    tifffile.imwrite(tmp_path / "f.ome.tif", pixels, metadata={"axes": "CYX", "Channel": {"Name": ["Cam", "Cam"]}})
    assert read_image(tmp_path / "f.ome.tif").channels == ("C0", "C1")


@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["uint8", "uint16"])
def test_grey_png_is_exact(tmp_path: Path, pixels: Any) -> None:
    (tmp_path / "f.png").write_bytes(imagecodecs.png_encode(pixels))
    image = read_image(tmp_path / "f.png")
    np.testing.assert_array_equal(image.pixels, pixels[None])
    assert image.bit_depth == pixels.dtype.itemsize * 8


def test_opaque_alpha_is_dropped_and_transparency_is_refused(tmp_path: Path) -> None:
    opaque = np.dstack([COLOUR, np.full_like(GREY8, 255)])
    (tmp_path / "f.png").write_bytes(imagecodecs.png_encode(opaque))
    tifffile.imwrite(tmp_path / "f.tif", opaque, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("f.png", "f.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name).pixels, COLOUR.transpose(2, 0, 1))
    opaque[3, 4, 3] = 0
    (tmp_path / "f.png").write_bytes(imagecodecs.png_encode(opaque))
    refused(tmp_path / "f.png", "transparent")


def test_grey_jpeg_is_one_channel_even_where_it_is_stored_in_colour(tmp_path: Path) -> None:
    smooth = np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))
    for pixels in (smooth, np.repeat(smooth[..., None], 3, axis=-1)):
        (tmp_path / "f.jpg").write_bytes(imagecodecs.jpeg8_encode(pixels, level=95))
        image = read_image(tmp_path / "f.jpg")
        assert image.pixels.shape == (1, 48, 64)
        assert np.abs(image.pixels[0].astype(int) - smooth).max() <= 4


def test_the_name_of_a_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "f.tif").write_bytes(imagecodecs.png_encode(GREY8))
    np.testing.assert_array_equal(read_image(str(tmp_path / "f.tif")).pixels, GREY8[None])


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int8, np.float64, np.float16, np.complex64, np.bool_])
def test_other_sample_types_are_refused(tmp_path: Path, dtype: Any) -> None:
    tifffile.imwrite(tmp_path / "f.tif", np.zeros((5, 6), dtype))
    refused(tmp_path / "f.tif", "save it as uint8, uint16 or float32")


def test_samples_that_are_not_counts_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "white.tif", GREY8, photometric="miniswhite")
    refused(tmp_path / "white.tif", "white as 0")
    palette = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", GREY8, photometric="palette", colormap=palette)
    refused(tmp_path / "palette.tif", "palette")
    tifffile.imwrite(tmp_path / "cmyk.tif", np.dstack([COLOUR, GREY8]), photometric="separated")
    refused(tmp_path / "cmyk.tif", "neither grey nor RGB")


def test_a_member_of_an_ome_set_is_not_half_an_image(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "f.ome.tif", Image(pixels=GREY8[None], channels=("BF",), bit_depth=8))
    with tifffile.TiffFile(tmp_path / "f.ome.tif") as tiff:
        xml = tiff.ome_metadata or ""
    for told, words in (
        (
            xml.replace('IFD="0" PlaneCount="1"/>', 'IFD="0"><UUID FileName="g.ome.tif">urn:uuid:0</UUID></TiffData>'),
            "set",
        ),
        (xml.replace('SizeC="1"', 'SizeC="2"'), "lacks pages"),
        (xml.replace("<Image ", '<BinaryOnly MetadataFile="m.ome" UUID="urn:uuid:0"/><Image '), "another file"),
        (xml.replace("<OME", '<!DOCTYPE OME [<!ENTITY a "aaaa">]><OME'), "document type"),
    ):
        assert told != xml
        tifffile.imwrite(tmp_path / "g.ome.tif", GREY8, description=told.encode(), metadata=None)
        refused(tmp_path / "g.ome.tif", words)


def test_tifffile_still_speaks_to_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "f.tif").write_bytes(b"II*\0" + b"\x08\0\0\0" + b"\xff" * 40)
    with caplog.at_level(logging.DEBUG, logger="tifffile"):
        refused(tmp_path / "f.tif", "truncated or damaged")
        assert not caplog.records
        logging.getLogger("tifffile").warning("from another thread of work")
        assert len(caplog.records) == 1


@pytest.mark.realdata
def test_the_papers_own_fields(real_data: Path) -> None:
    for name, largest in (("Green0.tif", 154), ("Red0.tif", 39)):
        image = read_image(real_data / "mccallum2019_field" / name)
        assert image.pixels.shape == (1, 1080, 1920)
        assert image.pixels.dtype == np.uint8
        assert image.pixels.max() == largest


@pytest.mark.realdata
def test_sixteen_bit_fluorescence_and_colour_jpeg_crops(real_data: Path) -> None:
    nuclei = read_image(real_data / "in_silico_labeling" / "fluorescence_DAPI.png")
    assert (nuclei.pixels.shape, nuclei.bit_depth) == ((1, 1024, 1024), 16)
    assert nuclei.pixels.max() > 255
    for crop in sorted((real_data / "mccallum2019_crops").glob("**/*.jpg"))[:20]:
        assert read_image(crop).pixels.shape == (1, 150, 150)


def test_planes_of_one_column_that_tifffile_puts_into_one_page(tmp_path: Path) -> None:
    planes = np.arange(12, dtype=np.uint16).reshape(3, 4, 1)
    tifffile.imwrite(tmp_path / "f.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_image(tmp_path / "f.tif").pixels, planes)
    tifffile.imwrite(tmp_path / "z.tif", planes, photometric="minisblack", metadata={"axes": "CYX"}, compression="zlib")
    refused(tmp_path / "z.tif", "several planes in one page: save it with one page per plane")
