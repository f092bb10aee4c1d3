"""Every donor held out in turn: never trained on where it is judged, resumable, and pooled like a run's evaluation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vsframework.training
from tests.conftest import SMALL
from vsframework.config import load_experiment
from vsframework.cross_validation import cross_validate
from vsframework.dataset import PatchDataset
from vsframework.errors import VsfError
from vsframework.evaluation import Evaluation
from vsframework.evaluation.compared_errors import compare_runs
from vsframework.evaluation.report import write_report
from vsframework.evaluation.results import read_cells

TINY = (*SMALL, "training.epochs=1", "regressor.name=small-cnn", "regressor.epochs=1", "regressor.size=16")
DONORS = ("donor1", "donor2", "donor3")


def validate(root: Path, *overrides: str) -> tuple[list[str], Path, Evaluation]:
    told: list[str] = []
    folder, found = cross_validate(root / "experiment.toml", (*TINY, *overrides), tell=told.append)
    return told, folder, found


@pytest.fixture(scope="module")
def finished(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose cross-validation was stopped in its second fold by an error, and then went on."""
    root = Path(shutil.copytree(study, tmp_path_factory.mktemp("folds") / "study"))
    trained: list[tuple[str, ...]] = []
    real: Callable[..., Any] = vsframework.training.train

    def dies_on_the_second(experiment: Any, *others: Any) -> Any:
        trained.append(experiment.split.test_donors)
        if len(trained) == 2:
            raise VsfError("the power went off")
        return real(experiment, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vsframework.training, "train", dies_on_the_second)
        with pytest.raises(VsfError, match="the power went off"):
            validate(root)
        told, _, _ = validate(root)
    assert trained == [("donor1",), ("donor2",), ("donor2",), ("donor3",)]
    first = [line for line in told if line.startswith(("dataset", "donor1"))]
    assert first == [
        "dataset: up to date",
        *(f"donor1: {stage}: up to date" for stage in ("train", "calibrate", "evaluate")),
    ]
    return root


def test_every_donor_is_judged_by_the_fold_that_never_saw_it(finished: Path) -> None:
    folder = finished / "run" / "leave-one-donor-out"
    result = Evaluation.read(folder)
    assert (result.held_out, result.trained_on, result.scheme) == (DONORS, (), "leave-one-donor-out")
    pooled = read_cells(folder).set_index("id")
    assert len(pooled) == len(PatchDataset.open(finished / "run" / "dataset").accepted())
    for donor in DONORS:
        fold = folder / "folds" / donor
        assert load_experiment(fold / "config.toml").split.test_donors == (donor,)
        own = read_cells(fold).set_index("id")
        own = own[own["donor"] == donor]
        for column in ("virtual_dfi", "regressor_dfi", "constant_dfi", "ssim_pixels_dsDNA"):
            np.testing.assert_array_equal(pooled.loc[own.index, column], own[column])
    medians = {donor: float(pooled.loc[pooled["donor"] != donor, "true_dfi"].median()) for donor in DONORS}
    assert {row.donor: row.constant for row in result.quantities[0].donors} == pytest.approx(medians, rel=1e-6)


def test_one_dataset_is_built_and_shared(finished: Path) -> None:
    assert [path.parent for path in finished.rglob("dataset.json")] == [finished / "run" / "dataset"]


def test_the_pooled_result_is_reported_and_compared_like_a_run(finished: Path) -> None:
    folder = finished / "run" / "leave-one-donor-out"
    text = write_report(folder).read_text(encoding="utf-8")
    assert "On the 3 held-out donors donor1, donor2 and donor3" in text
    assert "predicting the median of the donors trained on for every cell" in text
    found = compare_runs([folder], baselines=True)
    assert found.donors == DONORS
    assert [method.name for method in found.methods] == [str(folder), "constant", "direct regressor"]
    assert write_report(folder / "folds" / "donor1").is_file()


def test_a_second_time_does_nothing_but_pool(finished: Path) -> None:
    before = Evaluation.read(finished / "run" / "leave-one-donor-out")
    told, _, found = validate(finished)
    assert all(line.endswith("up to date") for line in told), told
    same = {"finished", "seconds"}
    assert found.model_dump_json(exclude=same) == before.model_dump_json(exclude=same)


def test_the_provenance_says_how_donors_were_held_out(finished: Path) -> None:
    folder = finished / "run" / "leave-one-donor-out"
    known = json.loads((folder / "provenance.json").read_text())
    assert (known["scheme"], known["donors"]) == ("leave-one-donor-out", list(DONORS))
    table = pd.read_csv(folder / "evaluation" / "donors.csv")
    assert table["held_out"].all()
