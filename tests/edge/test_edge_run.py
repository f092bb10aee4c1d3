"""`vsf-edge run`: batches, goes on after a stop, OME-TIFF, crops and fields, and the trust table of the bundle."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from tests.edge.conftest import known_manifest, read_brightfield
from vsf_edge.bundle import open_bundle
from vsf_edge.errors import EdgeError
from vsf_edge.run_record import RunRecord
from vsf_edge.staining import stain_images

Command = Callable[..., tuple[int, str, str]]
GAINS = np.array([2, 1], np.float32).reshape(1, 2, 1, 1)


def save(folder: Path, count: int, low: int = 1, high: int = 256) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(low, high, (16, 16)).astype(np.uint8)
        assert cv2.imwrite(str(path), pixels)
    return paths


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "cells.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Recording:
    """Gives the known model's numbers, and keeps the sizes of the batches it was given."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.batches: list[int] = []
        self.fails_at = fails_at

    def run(self, brightfield: Any) -> Mapping[str, Any]:
        self.batches.append(len(brightfield))
        if self.fails_at is not None and brightfield.shape[0] >= self.fails_at:
            raise MemoryError("the device is full")
        return {"stains": brightfield * GAINS, "dfi": np.full(len(brightfield), 1 / 3, np.float32)}


def test_images_are_stained_in_batches_and_in_order(model: Path, tmp_path: Path) -> None:
    images = save(tmp_path / "in", 5)
    images.insert(2, tmp_path / "absent.png")
    session = Recording()
    with open_bundle(model) as bundle:
        done = list(stain_images(bundle, session, images, tmp_path / "out", batch=2))
    assert session.batches == [2, 2, 1]
    assert [item.image for item in done] == images
    for item in done[3:]:
        stain = tifffile.imread(item.files[0])
        np.testing.assert_array_equal(stain, 2.0 * cv2.imread(str(item.image), cv2.IMREAD_UNCHANGED))


def test_a_batch_that_fails_is_stained_one_by_one(model: Path, tmp_path: Path) -> None:
    session = Recording(fails_at=2)
    with open_bundle(model) as bundle:
        done = list(stain_images(bundle, session, save(tmp_path / "in", 3), tmp_path / "out", batch=3))
    assert [item.problem for item in done] == ["", "", ""]
    assert session.batches == [3, 1, 1, 1]


def test_a_batch_is_no_larger_than_the_model_takes(make_model: Callable[..., Path], tmp_path: Path) -> None:
    session = Recording()
    with open_bundle(make_model({"input": {**known_manifest()["input"], "max_batch": 2}})) as bundle:
        list(stain_images(bundle, session, save(tmp_path / "in", 5), tmp_path / "out", batch=100))
    assert max(session.batches) == 2


def test_a_stopped_run_goes_on_where_it_was(model: Path, tmp_path: Path) -> None:
    images = save(tmp_path / "in", 4)
    out = tmp_path / "out"
    session = Recording()
    with open_bundle(model) as bundle:
        work = stain_images(bundle, session, images, out, record=RunRecord(out, {"bundle": bundle.sha256}))
        next(work)
        next(work)
        work.close()  # as when the command is interrupted
        assert len(rows(out)) == 2
        done = list(stain_images(bundle, session, images, out, record=RunRecord(out, {"bundle": bundle.sha256})))
        assert [item.skipped for item in done] == [True, True, False, False]
        assert session.batches == [1, 1, 1, 1]
    assert [row["dfi"] for row in rows(out)] == [repr(float(np.float32(1 / 3)))] * 4


@pytest.mark.parametrize("change", ["image", "output", "way", "record"])
def test_what_changed_is_stained_again(model: Path, tmp_path: Path, change: str) -> None:
    images = save(tmp_path / "in", 2)
    out = tmp_path / "out"
    with open_bundle(model) as bundle:
        list(stain_images(bundle, Recording(), images, out, record=RunRecord(out, {"dtype": "float32"})))
        way = {"dtype": "float32"}
        if change == "image":
            assert cv2.imwrite(str(images[0]), np.full((16, 16), 9, np.uint8))
        elif change == "output":
            (out / "0_ssDNA.tif").unlink()
        elif change == "way":
            way = {"dtype": "uint16"}
        else:
            (out / "run.json").write_text('{"schema_version": 1, "way": {"dtype": "float32"}, "images": [3]}')
        done = list(stain_images(bundle, Recording(), images, out, record=RunRecord(out, way)))
    assert not done[0].skipped
    assert done[1].skipped == (change in ("image", "output"))


def test_the_command_skips_and_says_so(vsf_edge: Command, model: Path, tmp_path: Path) -> None:
    images = save(tmp_path / "in", 3)
    for expected in (0, 3):
        code, out, _ = vsf_edge("run", model, *images, "-o", tmp_path / "out", "--json")
        assert code == 0
        assert json.loads(out)["skipped"] == expected
    code, out, err = vsf_edge("run", model, *images, "-o", tmp_path / "out")
    assert "3 of 3 stained, 3 of them before" in err
    code, out, _ = vsf_edge("run", model, *images, "-o", tmp_path / "out", "--again", "--json")
    assert json.loads(out)["skipped"] == 0


def test_an_ome_tiff_holds_brightfield_and_stains_by_name(
    vsf_edge: Command, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model({"input": {**known_manifest()["input"], "pixel_size_um": 0.11}})
    (image,) = save(tmp_path / "in", 1)
    options = ("--format", "ome-tiff", "--dtype", "uint16", "--pixel-size", 0.11)
    code, _, err = vsf_edge("run", model, image, "-o", tmp_path / "out", *options)
    assert code == 0, err
    with tifffile.TiffFile(tmp_path / "out" / "0.ome.tif") as file:
        assert file.is_ome
        assert not file.pages[0].is_tiled
        assert file.pages[0].compression == 1
        pixels = file.asarray()
        description = file.ome_metadata or ""
    brightfield = cv2.imread(str(image), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(pixels, np.stack([brightfield, 2 * brightfield.astype(np.uint16), brightfield]))
    for part in ('Name="brightfield"', 'Name="dsDNA"', 'Name="ssDNA"', 'PhysicalSizeX="0.11"', "research use only"):
        assert part in description


def test_a_crop_is_resized_to_the_patch_of_training_and_a_field_is_not(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    any_size = {"height": None, "width": None, "stride": 4, "patch_size": 16, "max_height": 32}
    with open_bundle(make_model({"input": {**known_manifest()["input"], **any_size}})) as bundle:
        manifest = bundle.manifest
    cv2.imwrite(str(tmp_path / "square.png"), np.zeros((24, 24), np.uint8))
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((24, 40), np.uint8))
    assert read_brightfield(tmp_path / "square.png", manifest).shape == (1, 16, 16)
    assert read_brightfield(tmp_path / "square.png", manifest, "field").shape == (1, 24, 24)
    assert read_brightfield(tmp_path / "wide.png", manifest, "field").shape == (1, 24, 40)
    with pytest.raises(EdgeError, match="no square crop of a cell: give --kind field"):
        read_brightfield(tmp_path / "wide.png", manifest)
    with pytest.raises(EdgeError, match="at most 20 px"):
        read_brightfield(tmp_path / "square.png", replace(manifest, max_height=20), "field")


def trust_table() -> dict[str, Any]:
    """A table with one gate, which accepts patches of middling brightness."""
    measures = [
        {"name": "saturated", "too_low": "", "too_high": "overexposed", "middle": 0, "below": 1, "above": 1,
         "low": None, "high": 0.5},
        {"name": "brightness", "too_low": "underexposed", "too_high": "overexposed", "middle": 0.5, "below": 1,
         "above": 1, "low": 0.2, "high": 0.8},
    ]  # fmt: skip
    gate = {"name": "exposure", "parameters": {}, "version": "2", "distribution": "vsf-edge",
            "distribution_version": "0.1.0", "together": "", "measures": measures, "limit": None}  # fmt: skip
    difficulty = {"constant": 0.01, "floor": 0.001, "middle": 0.3, "scale": 1.0, "weights": [0.0, 0.0, 0.0]}
    return {
        "format": "vsframework-trust",
        "schema_version": 1,
        "planes": 1,
        "size": 16,
        "full_scale": 255.0,
        "gates": {"table": [gate]},
        "intervals": {"coverage": 0.9, "missing": ""},
        "quantities": [{"name": "dfi", "difficulty": difficulty, "interval": {"quantile": 2.0}}],
    }


def test_the_trust_table_withholds_numbers_and_gives_intervals(
    vsf_edge: Command, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model(files={"trust.json": json.dumps(trust_table()).encode()})
    dark, fine = save(tmp_path / "dark", 1, 1, 10)[0], save(tmp_path / "fine", 1, 100, 150)[0]
    for _ in range(2):  # the second time from the record
        code, out, err = vsf_edge("run", model, dark, fine, "-o", tmp_path / "out", "--json")
        assert code == 0, err
        first, second = json.loads(out)["images"]
        assert "underexposed" in first["abstained"]
        assert first["quantities"] == {"dfi": None}
        assert first["judged"]["dfi_low"] is None
        assert second["abstained"] is None
        assert second["quantities"]["dfi"] == pytest.approx(1 / 3)
        assert second["judged"]["dfi_low"] == pytest.approx(1 / 3 - 0.02)
        assert second["judged"]["dfi_high"] == pytest.approx(1 / 3 + 0.02)
        withheld, given = rows(tmp_path / "out")
        assert (withheld["dfi"], withheld["problem"]) == ("", "")
        assert "underexposed" in withheld["abstained"]
        assert float(given["dfi_expected_error"]) == pytest.approx(0.01)


def test_a_damaged_trust_table_stops_the_run_before_any_number(
    vsf_edge: Command, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model(files={"trust.json": b'{"format": "vsframework-trust", "schema_version": 1}'})
    code, _, err = vsf_edge("run", model, *save(tmp_path / "in", 1), "-o", tmp_path / "out")
    assert code == 1
    assert "trust.json is damaged" in err
    assert not (tmp_path / "out").exists()
