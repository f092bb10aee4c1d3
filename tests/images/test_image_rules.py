"""An image cannot be made of things that do not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsframework.errors import VsfError
from vsframework.images import Image
from vsframework.images.image import MAX_CHANNELS, MAX_SAMPLES


def parts(**changes: Any) -> dict[str, Any]:
    return {"pixels": np.zeros((2, 3, 4), np.uint16), "channels": ("dsDNA", "ssDNA"), "bit_depth": 16, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pixels": np.uint8(3)}, "channels, height, width"),
        ({"pixels": np.zeros((), np.uint8)}, "channels, height, width"),
        ({"pixels": np.zeros((3, 4), np.uint8)}, "channels, height, width"),
        ({"pixels": np.zeros((2, 0, 4), np.uint8)}, "is empty"),
        ({"pixels": np.zeros((2, 3, 4), np.float64)}, "save it as uint8, uint16 or float32"),
        ({"pixels": np.zeros((2, 3, 4), np.int16)}, "save it as uint8, uint16 or float32"),
        ({"pixels": np.zeros((2, 3, 4), np.dtype(np.uint16).newbyteorder())}, "byte order"),
        ({"pixels": np.full((2, 3, 4), np.nan, np.float32), "bit_depth": 32}, "NaN"),
        ({"pixels": np.full((2, 3, 4), np.inf, np.float32), "bit_depth": 32}, "infinite"),
        ({"pixels": np.broadcast_to(np.uint8(0), (2, MAX_SAMPLES, 4))}, "split it"),
        ({"pixels": np.zeros((MAX_CHANNELS + 1, 1, 1), np.uint8)}, "split it"),
        ({"channels": ("dsDNA",)}, "2 channels but 1 channel names"),
        ({"channels": ("dsDNA", "dsDNA")}, "two channels of one name"),
        ({"channels": ("dsDNA", " ")}, "printable"),
        ({"channels": ("dsDNA", "ss\nDNA")}, "printable"),
        ({"pixel_size_um": 0.0}, "pixel size"),
        ({"pixel_size_um": -0.1}, "pixel size"),
        ({"pixel_size_um": float("nan")}, "pixel size"),
        ({"pixel_size_um": 1e9}, "pixel size"),
        ({"bit_depth": 0}, "significant bits"),
        ({"bit_depth": 17}, "significant bits"),
        ({"bit_depth": 12, "pixels": np.full((2, 3, 4), 4096, np.uint16)}, "holds the count 4096"),
        ({"bit_depth": 16, "pixels": np.zeros((2, 3, 4), np.float32)}, "float32"),
    ],
)
def test_what_does_not_fit_is_one_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(VsfError, match=words) as caught:
        Image(**parts(**changes))
    assert "\n" not in str(caught.value)


def test_the_sentence_names_the_file() -> None:
    with pytest.raises(VsfError, match=r"donor1/f\.tif has a pixel size"):
        Image(**parts(pixel_size_um=0.0, path=Path("donor1/f.tif")))


def test_the_largest_count_of_the_bit_depth_is_allowed() -> None:
    assert Image(**parts(bit_depth=12, pixels=np.full((2, 3, 4), 4095, np.uint16))).bit_depth == 12


def test_a_plane_is_found_by_its_name() -> None:
    image = Image(**parts(pixels=np.arange(24, dtype=np.uint16).reshape(2, 3, 4)))
    np.testing.assert_array_equal(image.plane("ssDNA"), image.pixels[1])
    with pytest.raises(VsfError, match="did you mean 'ssDNA'"):
        image.plane("ssDNAs")
    with pytest.raises(VsfError, match="it has dsDNA, ssDNA"):
        image.plane("Hoechst")


def test_a_plane_without_a_name_is_the_only_one_or_an_error() -> None:
    single = Image(**parts(pixels=np.ones((1, 3, 4), np.uint16), channels=("BF",)))
    assert single.plane().shape == (3, 4)
    with pytest.raises(VsfError, match=r"2 channels \(dsDNA, ssDNA\) where one is needed"):
        Image(**parts()).plane()
