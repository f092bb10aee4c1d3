"""``vsf dataset build --check`` finds what is missing and what looks wrong, and writes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsframework.images import Image, read_image, write_imagej_tiff

Check = Callable[..., tuple[int, Any]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run the command; give its exit code and its JSON (or its words)."""

    def run(root: Path, *words: str, as_json: bool = True) -> tuple[int, Any]:
        from vsframework.cli import main

        options = ["--json"] if as_json else []
        monkeypatch.setattr(
            "sys.argv", ["vsf", "dataset", "build", str(root / "experiment.toml"), "--check", *words, *options]
        )
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), json.loads(said.out) if as_json and said.out else said.out + said.err

    return run


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """A copy of the simulated study, with two fields for each of three donors."""
    root = Path(shutil.copytree(study, tmp_path / "study"))
    for path in [*root.glob("donor?/field000*")]:
        image = read_image(path)
        moved = Image(
            pixels=np.ascontiguousarray(image.pixels[:, ::-1]),
            channels=image.channels,
            pixel_size_um=image.pixel_size_um,
            bit_depth=image.bit_depth,
        )
        write_imagej_tiff(path.with_name(path.name.replace("field000", "field001")), moved)
    (root / "experiment.toml").write_text('[data]\nroot = "."\npattern = "{donor}/{field}_{channel}.tif"\n')
    return root


def snapshot(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*")}


def told(record: Any, name: str, kind: str = "suspicions") -> str:
    (field,) = [field for field in record["fields"] if field["id"] == name]
    return "; ".join(field[kind])


def test_a_good_study_has_nothing_to_say_but_its_pairs(check: Check, copy: Path) -> None:
    before = snapshot(copy)
    code, record = check(copy)
    assert (code, record["buildable"]) == (0, 6)
    assert not any(field["problems"] for field in record["fields"])
    said = [told(record, field["id"]) for field in record["fields"]] + record["suspicions"]
    assert not any("swapped" in text or "same" in text or "blank" in text for text in said)
    assert record["fields"][0]["files"]["ssDNA"] == "donor1/field000_ssDNA.tif"
    assert snapshot(copy) == before


def test_everything_that_is_wrong_is_found(check: Check, copy: Path) -> None:
    def path(name: str) -> Path:
        return copy / f"{name}.tif"

    path("donor1/field000_ssDNA").unlink()
    path("donor1/field001_BF").write_bytes(path("donor1/field001_BF").read_bytes()[:3000])
    path("donor2/field000_BF").rename(copy / "held")
    path("donor2/field000_dsDNA").rename(path("donor2/field000_BF"))
    (copy / "held").rename(path("donor2/field000_dsDNA"))
    shutil.copy(path("donor2/field001_ssDNA"), path("donor3/field000_ssDNA"))
    stain = read_image(path("donor3/field001_dsDNA"))
    bright = np.minimum(stain.pixels.astype(np.uint32) * 60, 2**stain.bit_depth - 1).astype(stain.pixels.dtype)
    parts: dict[str, Any] = {"channels": stain.channels, "bit_depth": stain.bit_depth}
    write_imagej_tiff(
        path("donor3/field001_dsDNA"), Image(pixels=bright[:, :300], pixel_size_um=stain.pixel_size_um, **parts)
    )
    shutil.copy(path("donor2/field001_BF"), copy / "donor2" / "overview.tif")
    code, record = check(copy, "-o", 'split.test_donors=["donor9"]')
    assert (code, record["buildable"]) == (0, 3)
    assert "there is no file for ssDNA" in told(record, "donor1/field000", "problems")
    assert "truncated or damaged" in told(record, "donor1/field001", "problems")
    assert "are the channels swapped?" in told(record, "donor2/field000")
    assert "is also donor3/field000 ssDNA" in told(record, "donor2/field001")
    assert "is also donor2/field001 ssDNA" in told(record, "donor3/field000")
    assert "of dsDNA is saturated" in told(record, "donor3/field001")
    assert "different sizes" in told(record, "donor3/field001", "problems")
    assert "[split] names the donor donor9, who has no field" in record["suspicions"]
    assert "donor2/overview.tif" in record["unused"]
    code, words = check(copy, as_json=False)
    assert "Cannot be built:" in words
    assert "donor1/field000: there is no file for ssDNA" in words
    assert "3 of 6 fields can be built" in words


def test_a_pair_of_stains_the_other_way_round_is_odd_among_many(check: Check, copy: Path) -> None:
    green, red = copy / "donor2" / "field001_dsDNA.tif", copy / "donor2" / "field001_ssDNA.tif"
    green.rename(copy / "held")
    red.rename(green)
    (copy / "held").rename(red)
    code, record = check(copy)
    assert code == 0
    words = "ssDNA is its brightest stain, dsDNA that of nearly all others: are the channels swapped?"
    assert words in told(record, "donor2/field001")
    assert not any("brightest stain" in told(record, field["id"]) for field in record["fields"][:3])


def test_another_pixel_size_and_a_silent_twelve_bit_camera(check: Check, copy: Path) -> None:
    for index, path in enumerate(sorted(copy.glob("donor?/field*_*.tif"))):
        image = read_image(path)
        counts = image.pixels.astype(np.uint16) * (4095 // (2**image.bit_depth - 1))
        size = 0.3 if "donor3/field001" in str(path) else image.pixel_size_um
        write_imagej_tiff(path, Image(pixels=counts, channels=image.channels, pixel_size_um=size, bit_depth=16))
        assert index < 18
    code, record = check(copy)
    assert code == 0
    assert "it has the pixel size 0.3 µm" in told(record, "donor3/field001")
    assert any("a 12-bit camera whose files do not say so" in text for text in record["suspicions"])


def test_nothing_to_build_is_exit_code_1(check: Check, copy: Path) -> None:
    for path in copy.glob("donor?/*_BF.tif"):
        path.unlink()
    code, record = check(copy)
    assert (code, record["buildable"]) == (1, 0)
    shutil.rmtree(copy / "donor1")
    code, words = check(copy, "-o", "data.pattern={donor}/{field}_{channel}.png", as_json=False)
    assert code == 2
    assert r"it would with the ending .tif: end the pattern in .*" in words
