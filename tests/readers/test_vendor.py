"""Vendor formats: without bioio, what to install; with it, a real CZI read plane by plane."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsframework.errors import VsfError
from vsframework.images import FieldChoice, read_image
from vsframework.plugins import registry
from vsframework.testing import ReaderContract

BEGINNINGS = {
    "czi": b"ZISRAWFILE" + bytes(100),
    "nd2": b"\xda\xce\xbe\x0a" + bytes(100),
    "lif": b"\x70\0\0\0\x10\0\0\0\x2a" + bytes(100),
}
HAS_BIOIO_LIF = all(importlib.util.find_spec(name) for name in ("bioio", "bioio_lif"))
HAS_BIOIO = all(importlib.util.find_spec(name) for name in ("bioio", "bioio_czi", "pylibCZIrw"))
PIXELS = np.random.default_rng(0).integers(0, 4000, (1, 2, 3, 40, 50), dtype=np.uint16)


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_it_is_told_by_its_first_bytes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"field.{kind}"
    path.write_bytes(BEGINNINGS[kind])
    assert registry().create("reader", "vendor").accepts(path, BEGINNINGS[kind])
    words = "damaged" if HAS_BIOIO else r"pip install 'vsf-plugins\[vendor\]', or save it as OME-TIFF"
    with pytest.raises(VsfError, match=words):
        read_image(path)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_BIOIO, reason="bioio is not installed (pip install 'vsf-plugins[vendor]' pylibCZIrw)")
class TestCzi(ReaderContract):
    """Written by Zeiss's own library; read by bioio."""

    name = "vendor"

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Any:
        from pylibCZIrw import czi

        path = tmp_path / "field.czi"
        with czi.create_czi(str(path)) as document:
            for c, z in np.ndindex(2, 3):
                document.write(data=PIXELS[0, c, z][..., None], plane={"C": c, "Z": z, "T": 0})
            names = {0: "dsDNA", 1: "ssDNA"}
            document.write_metadata(channel_names=names, scale_x=0.13e-6, scale_y=0.13e-6, scale_z=1e-6)
        return path, PIXELS

    def test_names_and_pixel_size_are_read(self, sample: Any) -> None:
        image = read_image(sample[0], FieldChoice(z="max"))
        assert image.channels == ("dsDNA", "ssDNA")
        assert image.pixel_size_um == pytest.approx(0.13)
        np.testing.assert_array_equal(image.pixels, PIXELS[0].max(axis=1))


def write_lif(path: Path, pixels: Any, names: tuple[str, ...], tiles: int = 1) -> None:
    """Write pixels [Z, C, Y, X], uint16, as Leica's files are built: a header of XML, then the block it speaks of.

    Sides of a pixel are 0.25 µm. With `tiles`, the z planes are tiles instead, half of each over the next one.
    """
    depth, _, height, width = pixels.shape
    plane = 2 * height * width
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="12" NameOfMeasuredQuantity="" Min="0" Max="4095" '
        f'Unit="" LUTName="{name}" IsLUTInverted="0" BytesInc="{index * plane}" BitInc="0"/>'
        for index, name in enumerate(names)
    )
    sizes = [(1, width, 2), (2, height, 2 * width), (10 if tiles > 1 else 3, depth, len(names) * plane)]
    dimensions = "".join(
        f'<DimensionDescription DimID="{number}" NumberOfElements="{count}" Origin="0" Length="{(count - 1) * 2.5e-7}" '
        f'Unit="m" BitInc="0" BytesInc="{step}"/>'
        for number, count, step in sizes
    )
    places = "".join(
        f'<Tile FieldX="{index}" FieldY="0" PosX="{index * width * 1.25e-7}" PosY="0" PosZ="0"/>'
        for index in range(tiles)
    )
    scan = f'<Attachment Name="TileScanInfo" FlipX="0" FlipY="0" SwapXY="0">{places}</Attachment>' if tiles > 1 else ""
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="all" Visibility="1"><Data/><Children>'
        f'<Element Name="field"><Data><Image><ImageDescription><Channels>{channels}</Channels><Dimensions>{dimensions}'
        f"</Dimensions></ImageDescription>{scan}</Image></Data>"
        f'<Memory Size="{pixels.nbytes}" MemoryBlockID="MemBlock_1"/></Element></Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")
    block = "MemBlock_1".encode("utf-16-le")
    header = struct.pack("<IIBI", 0x70, 5 + len(xml), 0x2A, len(xml) // 2) + xml
    name = struct.pack("<BI", 0x2A, len(block) // 2) + block
    memory = struct.pack("<IIBQ", 0x70, 9 + len(name), 0x2A, pixels.nbytes) + name
    path.write_bytes(header + memory + pixels.astype("<u2").tobytes())


needs_lif = pytest.mark.skipif(not HAS_BIOIO_LIF, reason="bioio is not installed (pip install 'vsf-plugins[vendor]')")


@pytest.mark.slow
@needs_lif
def test_a_lif_is_read_with_its_names_and_pixel_size(tmp_path: Path) -> None:
    stack = PIXELS[0].transpose(1, 0, 2, 3)
    write_lif(tmp_path / "field.lif", stack, ("Green", "Red"))
    image = read_image(tmp_path / "field.lif", FieldChoice(z="max"))
    assert (image.channels, image.pixel_size_um) == (("Green", "Red"), pytest.approx(0.25))
    np.testing.assert_array_equal(image.pixels, stack.max(axis=0))


@pytest.mark.slow
@needs_lif
def test_the_tiles_of_a_lif_are_not_put_together_wrongly(tmp_path: Path) -> None:
    write_lif(tmp_path / "field.lif", PIXELS[0].transpose(1, 0, 2, 3)[:2], ("Green", "Red"), tiles=2)
    with pytest.raises(VsfError, match=r"field\.lif is a scan of several tiles, .*: merge them in Leica's software"):
        read_image(tmp_path / "field.lif")
