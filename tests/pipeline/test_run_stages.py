"""``vsf run``: every stage once, and again only when something it depends on has changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import SMALL
from vsframework.dataset import PatchDataset
from vsframework.errors import VsfError
from vsframework.pipeline import Run, remove_run

STAGES = ("dataset", "train", "calibrate", "evaluate", "report")


@pytest.fixture(scope="module")
def finished(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "study"
    shutil.copytree(study, root)
    assert go(root) == list(STAGES)
    return root


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """The finished study with the times of its files, so that nothing looks changed."""
    return Path(shutil.copytree(finished, tmp_path / "study"))


def go(root: Path, *overrides: str, until: str = "report") -> list[str]:
    """Run, and give the stages that did something."""
    told: list[str] = []
    Run(root / "experiment.toml", (*SMALL, *overrides)).go(until, tell=told.append)
    return [line.partition(":")[0] for line in told if "up to date" not in line]


def test_everything_a_reader_looks_for_is_there(finished: Path) -> None:
    run = finished / "run"
    for name in ("config.toml", "metrics.csv", "evaluation/summary.json", "report.html", "provenance.json"):
        assert (run / name).is_file(), name
    provenance = json.loads((run / "provenance.json").read_text())
    assert list(provenance["stages"]) == list(STAGES)
    assert provenance["machine"]["torch"]


def test_a_second_run_does_nothing(copy: Path) -> None:
    assert go(copy) == []


def test_a_file_that_no_pattern_names_changes_nothing(copy: Path) -> None:
    (copy / "donor1" / "notes.txt").write_text("looked at by eye")
    assert go(copy) == []


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("denoiser.reach=3", STAGES),
        ("training.epochs=3", STAGES[1:]),
        ('split.test_donors=["donor2"]', STAGES[1:]),
    ],
)
def test_a_change_repeats_what_depends_on_it(copy: Path, override: str, stages: tuple[str, ...]) -> None:
    shutil.rmtree(copy / "run" / "checkpoints")  # an older training is not taken up under another configuration
    assert go(copy, override) == list(stages)


def test_a_lost_report_is_written_again(copy: Path) -> None:
    (copy / "run" / "report.html").unlink()
    assert go(copy) == ["report"]


def test_a_changed_field_repeats_everything(copy: Path) -> None:
    (copy / "donor1" / "field000_BF.tif").touch()
    assert go(copy, until="dataset") == ["dataset"]


def test_one_bad_field_costs_its_row_and_not_the_run(study: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(study, tmp_path / "study"))
    broken = root / "donor2" / "field000_dsDNA.tif"
    broken.write_bytes(broken.read_bytes()[:2000])
    (root / "donor3" / "field000_ssDNA.tif").unlink()
    Run(root / "experiment.toml", SMALL).go("dataset", tell=lambda _: None)
    cells = PatchDataset.open(root / "run" / "dataset").cells
    rejected = cells[~cells["accepted"]].set_index("id")["reason"]
    assert "field000_dsDNA.tif" in rejected["donor2/field000"]
    assert rejected["donor3/field000"] == "there is no file for ssDNA"
    assert cells[cells["donor"] == "donor1"]["accepted"].all()


def test_measured_values_are_near_the_simulated_truth(finished: Path) -> None:
    cells = pd.read_csv(finished / "run" / "dataset" / "cells.csv")
    truth = pd.read_csv(finished / "truth.csv")
    truth["id"] = truth["donor"] + "/" + truth["field"] + "/" + truth["cell"]
    both = cells[cells["accepted"]].merge(truth[truth["overlapping"] == 0], on="id", suffixes=("", "_true"))
    assert len(both) >= 5
    # crops are cut from the same brightfield image, so nothing but interpolation separates them from the truth
    assert (both[["x", "y"]].to_numpy() - both[["x_true", "y_true"]].to_numpy()).std() < 0.5


def test_the_command_names_the_report_and_speaks_json(copy: Path) -> None:
    options = [word for override in SMALL for word in ("-o", override)]
    code = "from vsframework.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(copy / "experiment.toml"), *options]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[-1] == f"Report: {copy / 'run' / 'report.html'}"
    answer = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert answer["stages"] == [f"{stage}: up to date" for stage in STAGES]


def test_only_a_run_folder_is_removed(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(VsfError, match="not a run folder"):
        remove_run(tmp_path)
    remove_run(copy / "run")
    assert not (copy / "run").exists()
