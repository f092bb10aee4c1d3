"""A field is opened first and read later: any region is what the whole image has there, without reading the rest."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from vsframework.errors import UsageError, VsfError
from vsframework.images import FieldChoice, Image, open_field, read_image, write_ome_tiff

PIXELS = (np.arange(2 * 150 * 200).reshape(2, 150, 200) % 60_007).astype(np.uint16)
REGIONS = [(0, 150, 0, 200), (10, 140, 30, 190), (149, 150, 199, 200), (0, 1, 0, 200), (63, 65, 127, 129)]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": (64, 32)},
        {"tile": (64, 32), "compression": "zlib", "predictor": True},
        {"rowsperstrip": 7, "compression": "zstd"},
        {"compression": "lzw"},
        {"tile": (64, 32), "compression": "packbits"},
        {"bigtiff": True, "rowsperstrip": 40},
    ],
)
def test_any_region_of_a_tiff(tmp_path: Path, byteorder: Any, options: dict[str, Any]) -> None:
    path = tmp_path / "f.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["dsDNA", "ssDNA"]}}
    tifffile.imwrite(path, PIXELS, photometric="minisblack", byteorder=byteorder, metadata=metadata, **options)
    field = open_field(path)
    assert (field.shape, field.dtype, field.channels) == ((2, 150, 200), np.uint16, ("dsDNA", "ssDNA"))
    for y0, y1, x0, x1 in REGIONS:
        part = field.read(y0, y1, x0, x1)
        assert part.dtype == np.uint16  # of this machine's byte order
        np.testing.assert_array_equal(part, PIXELS[:, y0:y1, x0:x1])
    np.testing.assert_array_equal(field.read(5, 9, 3, 8, "ssDNA"), PIXELS[1:, 5:9, 3:8])
    with pytest.raises(VsfError, match="did you mean 'ssDNA'"):
        field.read(0, 1, 0, 1, "SSDNA")
    with pytest.raises(UsageError, match="150 rows and 200 columns"):
        field.read(0, 151, 0, 1)


@pytest.mark.parametrize("tile", [None, 256])
def test_a_region_of_a_large_tiff_takes_the_memory_of_a_region(tmp_path: Path, tile: int | None) -> None:
    large = Image(pixels=np.ones((1, 6000, 5000), np.uint16), channels=("BF",), bit_depth=16)
    write_ome_tiff(tmp_path / "f.ome.tif", large, tile=tile)
    field = open_field(tmp_path / "f.ome.tif")
    field.read(0, 8, 0, 8)
    tracemalloc.start()
    try:
        assert field.read(3000, 3256, 2000, 2256).all()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6e6  # 256 rows of 5000 counts are 2.6 MB, the field 60 MB


def test_only_the_strips_of_a_region_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "f.tif"
    tifffile.imwrite(path, PIXELS[0], compression="zlib", rowsperstrip=50, photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        start, count = tiff.pages.first.dataoffsets[2], tiff.pages.first.databytecounts[2]
    data = bytearray(path.read_bytes())
    data[start : start + count] = bytes(count)
    path.write_bytes(data)
    field = open_field(path)
    np.testing.assert_array_equal(field.read(0, 100, 0, 200)[0], PIXELS[0, :100])
    with pytest.raises(VsfError, match="damaged"):
        field.read(0, 101, 0, 200)


def ome_set(folder: Path, pixels: Any, names: tuple[str, str] = ("a.ome.tif", "b.ome.tif")) -> Path:
    """Write two channels as two files that describe one image, as Micro-Manager and others do."""
    uuids = ["urn:uuid:00000000-0000-0000-0000-00000000000" + letter for letter in "12"]
    parts = "".join(
        f'<TiffData FirstC="{c}" FirstZ="0" FirstT="0" IFD="0" PlaneCount="1"><UUID FileName="{name}">{uuid}</UUID>'
        "</TiffData>"
        for c, (name, uuid) in enumerate(zip(names, uuids, strict=True))
    )
    _, height, width = pixels.shape
    for c, (name, uuid) in enumerate(zip(("a.ome.tif", "b.ome.tif"), uuids, strict=True)):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}"><Image ID="Image:0">'
            f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="{width}" SizeY="{height}" SizeC="2" '
            'SizeZ="1" SizeT="1" PhysicalSizeX="0.13" PhysicalSizeY="0.13"><Channel ID="Channel:0:0" Name="dsDNA" '
            f'SamplesPerPixel="1"/><Channel ID="Channel:0:1" Name="ssDNA" SamplesPerPixel="1"/>{parts}</Pixels></Image>'
            "</OME>"
        )
        tifffile.imwrite(folder / name, pixels[c], description=xml, metadata=None, compression="zlib")
    return folder / "a.ome.tif"


def test_an_ome_tiff_in_several_files_is_one_field(tmp_path: Path) -> None:
    image = read_image(ome_set(tmp_path, PIXELS))
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert (image.channels, image.pixel_size_um) == (("dsDNA", "ssDNA"), 0.13)
    np.testing.assert_array_equal(read_image(tmp_path / "b.ome.tif").pixels, PIXELS)
    np.testing.assert_array_equal(open_field(tmp_path / "a.ome.tif").read(9, 30, 4, 77), PIXELS[:, 9:30, 4:77])
    whole = (tmp_path / "b.ome.tif").read_bytes()
    (tmp_path / "b.ome.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VsfError, match=r"b\.ome\.tif is a truncated or damaged TIFF"):
        read_image(tmp_path / "a.ome.tif")
    (tmp_path / "b.ome.tif").unlink()
    with pytest.raises(VsfError, match=r"b\.ome\.tif is missing, and other files of its OME set need it"):
        read_image(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("name", ["../b.ome.tif", "/etc/passwd", "x\\b.ome.tif", ".."])
def test_a_set_lies_in_one_folder_whatever_its_metadata_says(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = ome_set(tmp_path / "in", PIXELS, ("a.ome.tif", name))
    with pytest.raises(VsfError, match="which is no file beside it"):
        read_image(path)


def test_the_sharpest_plane_of_each_channel(tmp_path: Path) -> None:
    flat = np.full((2, 3, 40, 60), 500, np.uint16)  # [C, Z, Y, X], equally bright
    checked = 400 + 200 * (np.indices((40, 60)).sum(axis=0) % 2)
    flat[0, 2], flat[1, 0] = checked, checked
    tifffile.imwrite(tmp_path / "f.ome.tif", flat.transpose(1, 0, 2, 3), metadata={"axes": "ZCYX"})
    field = open_field(tmp_path / "f.ome.tif", FieldChoice(z="focus"))
    assert field.focus == (2, 0)
    np.testing.assert_array_equal(field.read(0, 40, 0, 60), np.stack([checked, checked]))


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[0], PIXELS.astype(">u2"), PIXELS.astype(np.float32)])
def test_numpy_arrays(tmp_path: Path, pixels: Any) -> None:
    np.save(tmp_path / "f.npy", pixels)
    image = read_image(tmp_path / "f.npy")
    np.testing.assert_array_equal(image.pixels, pixels.reshape(-1, 150, 200))
    np.testing.assert_array_equal(open_field(tmp_path / "f.npy").read(7, 90, 11, 44), image.pixels[:, 7:90, 11:44])
    data = (tmp_path / "f.npy").read_bytes()
    (tmp_path / "f.npy").write_bytes(data[:-1])
    with pytest.raises(VsfError, match="truncated NumPy file"):
        read_image(tmp_path / "f.npy")


def test_numpy_files_that_are_no_field(tmp_path: Path) -> None:
    for pixels, words in (
        (np.array([[{"a": 1}]], dtype=object), "Python objects, which are never loaded"),
        (np.zeros((2, 2, 2, 2), np.uint8), "an array of shape"),
        (np.asfortranarray(np.zeros((3, 4), np.uint8)), "Fortran order"),
        (np.zeros((3, 4), np.int64), "save it as uint8, uint16 or float32"),
    ):
        np.save(tmp_path / "f.npy", pixels, allow_pickle=True)
        with pytest.raises(VsfError, match=words):
            read_image(tmp_path / "f.npy")
