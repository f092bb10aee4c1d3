"""``vsf calibrate``, and what ``vsf stain`` and ``vsf quantify`` make of it, through the real command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.trust.conftest import SIDE, SPLIT, drawn_cell, experiment_of, make_study
from vsframework.cli import main
from vsframework.config import parse_experiment
from vsframework.images import Image, write_ome_tiff
from vsframework.training import train

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["vsf", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(str(stop.value.code)), captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that really was trained, for one epoch: it shows what the commands do, not what staining can."""
    run = tmp_path_factory.mktemp("trust") / "run"
    dataset = make_study(run / "dataset", per_donor=8)
    tables = {
        **experiment_of(SPLIT).tables(),
        "patches": {"size": SIDE, "field_px": SIDE},
        "generator": {"name": "fast", "width": 8, "depth": 3},
        "training": {"epochs": 1, "batch_size": 4, "accelerator": "cpu", "models": "joint"},
    }
    train(parse_experiment(tables, "the small experiment"), dataset, run)
    return run


def write_image(path: Path, pixels: np.ndarray) -> Path:
    write_ome_tiff(path, Image(pixels=pixels[None].astype(np.uint8), channels=("BF",), pixel_size_um=0.1, bit_depth=8))
    return path


def test_a_calibrated_run_withholds_numbers_from_bad_images(shell: Shell, trained: Path, tmp_path: Path) -> None:
    code, out, _ = shell("calibrate", trained)
    assert code == 0
    assert "Gates: focus, exposure, background, black-borders, head, distance, learnt from" in out
    assert "dfi: 90% intervals from" in out
    assert "D3, D4, D5" in out

    rng = np.random.default_rng(1)
    good = next(image for image in (drawn_cell(rng) for _ in range(20)) if _passes(trained, image))
    files = [
        write_image(tmp_path / "good.ome.tif", good),
        write_image(tmp_path / "blank.ome.tif", np.full((SIDE, SIDE), 130)),
        write_image(tmp_path / "field.ome.tif", np.full((2 * SIDE, 3 * SIDE), 130)),
    ]
    code, out, _ = shell("stain", trained, *files, "-o", tmp_path / "out")
    assert code == 0
    assert "3 of 3 images stained" in out
    assert "blank.stained.ome.tif: abstained, because" in out
    assert out.count("abstained") == 1
    assert not (tmp_path / "out" / "field.stained.trust.json").exists()  # a field is no patch of one cell

    stained = sorted((tmp_path / "out").glob("*.tif"))
    code, out, _ = shell("quantify", *stained)
    assert code == 0
    rows = {Path(row["image"]).name.partition(".")[0]: row for row in csv.DictReader(io.StringIO(out))}
    assert (rows["blank"]["dfi"], rows["blank"]["answered"]) == ("", "0")
    assert "(" in rows["blank"]["reason"]
    assert rows["good"]["answered"] == "1"
    assert float(rows["good"]["lower_dfi"]) < float(rows["good"]["dfi"]) < float(rows["good"]["upper_dfi"])
    assert rows["field"]["dfi"]
    assert not rows["field"]["answered"]  # nobody judged it

    code, out, _ = shell("quantify", *stained, "--json")
    document = json.loads(out)
    assert [Path(name).name for name in document["abstained"]] == ["blank.stained.ome.tif"]
    assert not any("blank" in name for name in document["measured"])


def test_an_older_answer_does_not_outlive_its_image(shell: Shell, trained: Path, tmp_path: Path) -> None:
    shell("calibrate", trained)
    image = write_image(tmp_path / "cell.ome.tif", np.full((SIDE, SIDE), 130))
    shell("stain", trained, image, "-o", tmp_path / "out")
    answer = tmp_path / "out" / "cell.stained.trust.json"
    assert answer.exists()
    (trained / "trust.json").unlink()
    code, _, _ = shell("stain", trained, image, "-o", tmp_path / "out", "--overwrite")
    assert code == 0
    assert not answer.exists()


def test_calibrating_what_is_no_run_is_one_sentence(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("calibrate", tmp_path / "nothing")
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no run" in err


def _passes(run: Path, image: np.ndarray) -> bool:
    from vsframework.trust import Judge

    judge = Judge.load(run)
    assert judge is not None
    return bool(judge.judge(image[None, None]).answered[0])
