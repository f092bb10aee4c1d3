"""A simulated study on disk: complete, repeatable, resumable, and honest about what can be predicted."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from vsframework.config import load_experiment
from vsframework.dataset.layouts import find_fields
from vsframework.errors import UsageError
from vsframework.images import read_image
from vsframework.simulation import SimulationOptions, simulate

SMALL = SimulationOptions(donors=2, fields=2, width=480, height=360, cells_per_field=2, seed=7)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("simulated") / "study", SMALL)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_file_of_the_truth_table_is_there_and_nothing_else(study: Path) -> None:
    named = {row[key] for row in rows_of(study) for key in row if key.endswith("_file")}
    extra = {"truth.csv", "truth.json", "simulation.json", "experiment.toml"}
    assert set(hashes(study)) == named | extra


def test_images_say_what_they_are(study: Path) -> None:
    for row in rows_of(study):
        for channel in ("BF", "dsDNA", "ssDNA"):
            image = read_image(study / row["donor"] / f"{row['field']}_{channel}.tif")
            assert image.channels == (channel,)
            assert image.pixels.shape == (1, 360, 480)
            assert (image.pixels.dtype.name, image.bit_depth, image.pixel_size_um) == ("uint8", 8, 0.05)
        crop = read_image(study / row["crop_file"])
        assert crop.pixels.shape == (1, 150, 150)
        assert crop.pixels.dtype.name == "uint8"


def test_the_experiment_file_finds_every_field_and_crop(study: Path) -> None:
    experiment = load_experiment(study / "experiment.toml")
    assert experiment.split.test_donors == ("donor1",)
    found = find_fields(experiment.data, study / experiment.data.root)
    cells = {(files.donor, files.name, cell) for files in found for cell in files.crops}
    assert cells == {(row["donor"], row["field"], row["cell"]) for row in rows_of(study)}
    assert all(files.brightfield and set(files.stains) == {"dsDNA", "ssDNA"} for files in found)


def test_an_interrupted_study_goes_on_to_the_same_bytes(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsframework.simulation import study as writer

    written: list[tuple[int, int]] = []
    whole = writer.simulate_study_field

    def stop_after_two(options: SimulationOptions, donor: int, field: int) -> object:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append((donor, field))
        return whole(options, donor, field)

    monkeypatch.setattr(writer, "simulate_study_field", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "again", SMALL)
    assert not (tmp_path / "again" / "truth.json").exists()
    written.clear()
    simulate(tmp_path / "again", SMALL)
    assert written == [(1, 0), (1, 1)]
    assert hashes(tmp_path / "again") == hashes(study)


def test_a_complete_study_is_left_alone(study: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    simulate(study, SMALL)
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before


def test_other_options_are_refused_by_name(study: Path) -> None:
    with pytest.raises(UsageError, match="simulated with seed 7, not 8: choose another folder"):
        simulate(study, SMALL.model_copy(update={"seed": 8}))


def test_a_folder_of_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="holds no simulated study"):
        simulate(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_summary_agrees_with_the_table(study: Path) -> None:
    truth = json.loads((study / "truth.json").read_text(encoding="utf-8"))
    rows = rows_of(study)
    for donor, found in truth["donors"].items():
        own = np.array([[float(row["dfi"]), float(row["visible"])] for row in rows if row["donor"] == donor])
        others = [float(row["dfi"]) for row in rows if row["donor"] != donor]
        assert found["cells"] == len(own)
        assert found["best_mae"] == pytest.approx(np.abs(own[:, 0] - own[:, 1]).mean())
        assert found["constant_mae"] == pytest.approx(np.abs(own[:, 0] - np.median(others)).mean())
    assert truth["cells"] == len(rows)
    assert truth["simulated"] is True
