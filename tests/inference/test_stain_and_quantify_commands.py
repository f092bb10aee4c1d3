"""``vsf train``, ``vsf stain`` and ``vsf quantify`` on files, through the real command line."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vsframework.cli import main
from vsframework.images import Image, read_image, write_ome_tiff

Shell = Callable[..., tuple[int, str, str]]
"""Arguments of ``vsf`` to exit code, standard output and standard error."""


def vsf(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """Run ``vsf`` as the shell would: exit code, standard output, standard error."""
    monkeypatch.setattr("sys.argv", ["vsf", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    return int(str(stop.value.code)), captured.out, captured.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return lambda *arguments: vsf(capsys, monkeypatch, *arguments)


def write_brightfield(path: Path, height: int, width: int, dtype: type = np.uint8) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width)).astype(dtype)
    bits = np.dtype(dtype).itemsize * 8
    write_ome_tiff(path, Image(pixels=pixels, channels=("BF",), pixel_size_um=0.25, bit_depth=bits))
    return path


def test_a_field_becomes_an_ome_tiff_of_its_size(shell: Shell, trained_run: Path, tmp_path: Path) -> None:
    field = write_brightfield(tmp_path / "field.ome.tif", 21, 34)
    code, out, _ = shell("stain", trained_run, field, "-o", tmp_path / "out", "--json")
    assert code == 0
    [target] = json.loads(out)["stained"]
    image = read_image(target)
    assert Path(target).name == "field.stained.ome.tif"
    assert image.channels == ("dsDNA", "ssDNA")
    assert image.pixels.shape == (2, 21, 34)
    assert image.pixels.dtype == np.float32
    assert image.pixel_size_um == pytest.approx(0.25)
    assert (image.pixels >= 0).all()


def test_a_patch_is_stained_as_the_stainer_does(shell: Shell, trained_run: Path, tmp_path: Path) -> None:
    from vsframework.inference import Stainer

    patch = write_brightfield(tmp_path / "patch.tif", 16, 16)
    assert shell("stain", trained_run, patch, "-o", tmp_path)[0] == 0
    expected = Stainer.load(trained_run).stain(read_image(patch).pixels[None])[0]
    np.testing.assert_array_equal(read_image(tmp_path / "patch.stained.ome.tif").pixels, expected)


def test_a_bad_image_costs_one_sentence_and_no_other_image(shell: Shell, trained_run: Path, tmp_path: Path) -> None:
    good = write_brightfield(tmp_path / "good.tif", 16, 16)
    deep = write_brightfield(tmp_path / "deep.tif", 16, 16, np.uint16)
    broken = tmp_path / "broken.tif"
    broken.write_bytes(good.read_bytes()[:100])
    code, out, err = shell("stain", trained_run, broken, deep, good, "-o", tmp_path / "out")
    assert code == 1
    assert "1 of 3 images stained" in out
    assert str(broken) in err
    assert "trained on 8-bit" in err
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.stained.ome.tif"]


def test_what_is_there_is_kept_unless_asked(shell: Shell, trained_run: Path, tmp_path: Path) -> None:
    patch = write_brightfield(tmp_path / "patch.tif", 16, 16)
    target = tmp_path / "patch.stained.ome.tif"
    target.write_bytes(b"mine")
    assert shell("stain", trained_run, patch, "-o", tmp_path)[0] == 0
    assert target.read_bytes() == b"mine"
    assert shell("stain", trained_run, patch, "-o", tmp_path, "--overwrite")[0] == 0
    assert read_image(target).channels == ("dsDNA", "ssDNA")


def test_two_images_of_one_name_are_refused(shell: Shell, trained_run: Path, tmp_path: Path) -> None:
    code, _, err = shell("stain", trained_run, tmp_path / "a" / "x.tif", tmp_path / "b" / "x.tif", "-o", tmp_path)
    assert code == 2
    assert "same name" in err


def test_virtual_stains_are_quantified(shell: Shell, trained_run: Path, tmp_path: Path) -> None:
    patch = write_brightfield(tmp_path / "patch.tif", 16, 16)
    shell("stain", trained_run, patch, "-o", tmp_path)
    stained = tmp_path / "patch.stained.ome.tif"
    code, out, _ = shell("quantify", stained, "--json")
    assert code == 0
    document = json.loads(out)
    dsdna, ssdna = read_image(stained).pixels.sum(axis=(1, 2), dtype=np.float64)
    assert document["measured"][str(stained)]["dfi"] == pytest.approx(ssdna / (ssdna + dsdna), rel=1e-6)
    assert document["units"]["dfi"] == "1"


def test_raw_fluorescence_is_denoised_and_written_as_csv(shell: Shell, tmp_path: Path) -> None:
    pixels = np.full((3, 8, 8), 2, np.uint8)
    pixels[1, 0, 0], pixels[2, 0, 0] = 92, 12  # 90 and 10 above a background of 2
    raw = tmp_path / "raw.tif"
    write_ome_tiff(raw, Image(pixels=pixels, channels=("brightfield", "dsDNA", "ssDNA"), bit_depth=8))
    out = tmp_path / "values.csv"
    code, _, err = shell("quantify", raw, tmp_path / "missing.tif", "--denoiser", "mccallum-histogram", "-o", out)
    assert code == 1
    assert "missing.tif" in err
    with out.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["image"] == str(raw)
    assert 0 < float(row["dfi"]) < 0.2


def test_a_stain_that_no_image_has_is_one_sentence(shell: Shell, tmp_path: Path) -> None:
    field = write_brightfield(tmp_path / "field.tif", 8, 8)
    code, _, err = shell("quantify", field)
    assert code == 1
    assert "has no stain" in err
    assert shell("quantify", field, "--quantifier", "dfy")[0] == 2


def test_train_goes_on_by_command_line(shell: Shell, trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    experiment = tmp_path / "experiment.toml"
    shutil.copy(trained_run / "config.toml", experiment)
    code, out, err = shell("train", experiment, "-o", "training.epochs=3")
    assert (code, err) == (0, "")
    assert "Trained" in out
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "1", "2", "2", "3", "3"]


def test_train_without_a_dataset_says_what_to_do(shell: Shell, trained_run: Path, tmp_path: Path) -> None:
    shutil.copy(trained_run / "config.toml", tmp_path / "experiment.toml")
    code, _, err = shell("train", tmp_path / "experiment.toml")
    assert code == 2
    assert "vsf dataset build" in err
