"""Vendor formats: without bioio, what to install; with it, a real CZI read plane by plane."""

from __future__ import annotations

import importlib.util
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
