"""`vsf-edge run` holds the pixel size of an image against that of the model, where both are known."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from tests.edge.conftest import SIDE, known_manifest
from vsf_edge import calibration
from vsf_edge.bundle import open_bundle
from vsf_edge.staining import StainedImage, Style, stain_images

Command = Callable[..., tuple[int, str, str]]
TRAINED = 0.2
ANY_SIZE = {"height": None, "width": None, "stride": 4, "patch_size": SIDE}


class Doubling:
    """Gives the known model's stains of images of any size, and keeps the shapes that it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, brightfield: Any) -> Mapping[str, Any]:
        self.shapes.append(brightfield.shape)
        gains = np.array([2, 1], np.float32).reshape(1, 2, 1, 1)
        return {"stains": brightfield * gains, "dfi": np.full(len(brightfield), 1 / 3, np.float32)}


@pytest.fixture
def make(make_model: Callable[..., Path]) -> Callable[..., Path]:
    """Write a model whose fields had pixels of 0.2 µm."""

    def write(**changes: Any) -> Path:
        return make_model({"input": {**known_manifest()["input"], "pixel_size_um": TRAINED, "field_px": 16, **changes}})

    return write


def image(path: Path, side: int, size_um: float | None, height: int | None = None) -> Path:
    """Write a smooth image as OME-TIFF."""
    y, x = np.mgrid[: height or side, :side] / side
    pixels = (120 + 60 * np.sin(3 * x) * np.cos(2 * y)).astype(np.uint8)
    sizes = {} if size_um is None else {f"PhysicalSize{axis}": size_um for axis in "XY"}
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "YX", **sizes})
    return path


def stain(model: Path, out: Path, path: Path, session: Doubling, **style: Any) -> StainedImage:
    with open_bundle(model) as bundle:
        (stained,) = stain_images(bundle, session, [path], out, Style(format="ome-tiff", **style))
    return stained


def physical_size(path: Path) -> tuple[str | None, str]:
    with tifffile.TiffFile(path) as file:
        document = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    size = document["Pixels"].get("PhysicalSizeX")
    return None if size is None else str(size), document["Description"]


@pytest.mark.parametrize(("side", "size_um"), [(16, 0.2), (32, 0.1), (16, 0.2015), (8, 0.4)])
def test_a_crop_that_shows_what_a_patch_showed_is_taken(
    make: Callable[..., Path], tmp_path: Path, side: int, size_um: float
) -> None:
    stained = stain(make(), tmp_path / "out", image(tmp_path / "a.ome.tif", side, size_um), Doubling())
    assert stained.problem == ""
    assert stained.note == f"Taken as it is; image {size_um:g} µm, training fields 0.2 µm per pixel."
    size, description = physical_size(stained.files[0])
    assert float(size or 0) == pytest.approx(size_um * side / 16)
    assert stained.note in description


def test_a_crop_of_another_magnification_is_refused_in_one_sentence(
    vsf_edge: Command, make: Callable[..., Path], tmp_path: Path
) -> None:
    path = image(tmp_path / "a.ome.tif", 32, 0.2)
    code, _, err = vsf_edge("run", make(), path, "-o", tmp_path / "out")
    assert code == 1
    assert f"{path} shows 6.4 µm and a patch of this model 3.2 µm" in err
    assert "cut crops of 16 px, or have their middle taken (--other-pixel-size resample)" in err
    code, out, err = vsf_edge("run", make(), path, "-o", tmp_path / "out", "--pixel-size", 0.1, "--json")
    assert code == 0, err
    assert json.loads(out)["images"][0]["magnification"].startswith("Taken as it is; image 0.1 µm")


def test_the_middle_of_a_larger_crop_is_taken_and_it_is_recorded(
    vsf_edge: Command, make: Callable[..., Path], tmp_path: Path
) -> None:
    path = image(tmp_path / "a.ome.tif", 40, 0.1)
    note = "Resampled from the middle 32 of 40 px; image 0.1 µm, training fields 0.2 µm per pixel."
    for skipped in (0, 1):
        code, out, err = vsf_edge("run", make(), path, "-o", tmp_path / "out", "--other-pixel-size", "resample",
                                  "--json")  # fmt: skip
        assert code == 0, err
        assert json.loads(out)["skipped"] == skipped
        assert json.loads(out)["images"][0]["magnification"] == note
        with (tmp_path / "out" / "cells.csv").open(newline="", encoding="utf-8") as file:
            assert next(csv.DictReader(file))["magnification"] == note
    middle = tifffile.imread(path)[4:36, 4:36].astype(np.float32)
    expected = 2 * cv2.resize(middle, (16, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "out" / "a.ome_dsDNA.tif"), expected, rtol=1e-6)


def test_a_crop_that_shows_too_little_is_not_filled_up(make: Callable[..., Path], tmp_path: Path) -> None:
    path = image(tmp_path / "a.ome.tif", 20, 0.1)
    stained = stain(make(), tmp_path / "out", path, Doubling(), other_pixel_size="resample")
    assert stained.problem.endswith("shows 2 µm and a patch of this model 3.2 µm: cut crops of 32 px")


def test_a_field_of_other_pixels_is_refused_or_resampled(make: Callable[..., Path], tmp_path: Path) -> None:
    model, path = make(**ANY_SIZE), image(tmp_path / "a.ome.tif", 50, 0.1, height=30)
    refused = stain(model, tmp_path / "out", path, Doubling(), kind="field")
    assert "has pixels of 0.1 µm and this model was trained on fields of 0.2 µm: have it resampled" in refused.problem
    session = Doubling()
    stained = stain(model, tmp_path / "out", path, session, kind="field", other_pixel_size="resample")
    assert stained.problem == ""
    assert session.shapes == [(1, 1, 16, 28)]  # 15 x 25, filled up to the stride
    assert stained.abstained == "a field was resampled: its sums are not those of its pixels"
    assert np.isnan(stained.quantities["dfi"])
    size, description = physical_size(stained.files[0])
    assert size == "0.1"
    assert "Resampled by 0.5 to be stained; image 0.1 µm" in description
    brightfield, green, red = tifffile.imread(stained.files[0])
    np.testing.assert_array_equal(brightfield, tifffile.imread(path))
    np.testing.assert_allclose(red, brightfield, atol=4)  # smooth, so that resampling there and back hardly shows
    np.testing.assert_allclose(green, 2 * red)


def test_a_calibration_that_asks_for_too_many_pixels_is_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    path = image(tmp_path / "a.ome.tif", 48, 9000.0)
    stained = stain(make(**ANY_SIZE), tmp_path / "out", path, Doubling(), kind="field", other_pixel_size="resample")
    assert "would be resampled to 2160000 x 2160000 px, more than fit at once (image 9000 µm" in stained.problem


@pytest.mark.parametrize("size_um", [None, TRAINED])
def test_a_field_of_the_pixels_of_training_is_resized_as_its_patches_were(
    make: Callable[..., Path], tmp_path: Path, size_um: float | None
) -> None:
    session = Doubling()
    path = image(tmp_path / "a.ome.tif", 48, size_um)
    stained = stain(make(**ANY_SIZE, field_px=12), tmp_path / "out", path, session, kind="field")
    assert session.shapes == [(1, 1, 64, 64)]
    assert stained.note.startswith(f"Resampled by 1.333 to be stained{', uncompared' if size_um is None else ''};")


@pytest.mark.parametrize(("known_to", "words"), [("neither", "unknown"), ("model", "unknown"), ("image", "0.4 µm")])
def test_where_one_is_unknown_both_are_taken_as_equal_and_it_is_said(
    make: Callable[..., Path], tmp_path: Path, known_to: str, words: str
) -> None:
    model = make(pixel_size_um=TRAINED if known_to == "model" else None)
    path = image(tmp_path / "a.ome.tif", 16, 0.4 if known_to == "image" else None)
    stained = stain(model, tmp_path / "out", path, Doubling())
    assert stained.note.startswith(f"Taken as it is, uncompared; image {words}, training fields ")
    assert physical_size(stained.files[0])[0] == ("0.4" if known_to == "image" else None)


def test_without_tifffile_it_says_that_the_pixel_size_was_not_read(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "KNOWS_TIFF", False)
    monkeypatch.setattr("vsf_edge.magnification.KNOWS_TIFF", False)
    path = image(tmp_path / "a.ome.tif", 32, 0.2)
    with open_bundle(make()) as bundle:
        (stained,) = stain_images(bundle, Doubling(), [path], tmp_path / "out")
    assert "image unknown (pip install 'vsf-edge[ome]' to have it read)" in stained.note


def test_a_resolution_for_printing_is_no_pixel_size(make: Callable[..., Path], tmp_path: Path) -> None:
    pixels = np.full((32, 32), 9, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, resolution=(28.35, 28.35), resolutionunit="CENTIMETER")  # 72 dpi
    assert stain(make(), tmp_path / "out", tmp_path / "a.tif", Doubling()).problem == ""
