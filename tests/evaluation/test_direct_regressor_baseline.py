"""The direct regressor beside the virtual stains: trained on the same donors, on the same cells, and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vsframework.cli.evaluate import describe
from vsframework.dataset.store import PatchDataset
from vsframework.errors import VsfError
from vsframework.evaluation import Evaluation, evaluate, regression
from vsframework.evaluation.regression import predict_directly
from vsframework.evaluation.results import read_cells

Make = Callable[..., Any]


class Spy:
    """A regressor that predicts what it was told, and notes what it learnt from."""

    def __init__(self, offset: float = 0.0) -> None:
        self.calls: list[dict[str, Any]] = []
        self.offset = offset

    def fit(self, brightfield: Any, values: Any, donors: Any, seed: int) -> Spy:
        self.calls.append({"patches": len(brightfield), "values": values, "donors": set(donors), "seed": seed})
        return self

    def predict(self, brightfield: Any) -> Any:
        return brightfield[:, 0, 0, 0].astype(float) / 1000 + self.offset  # where the tests' dataset keeps the truth


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    made = Spy(offset=0.02)
    found = regression.registry()

    class Registry:
        def find(self, *names: str) -> Any:
            return found.find(*names)

        def create(self, *_: Any) -> Spy:
            return made

    monkeypatch.setattr(regression, "registry", Registry)
    return made


def test_it_learns_from_the_training_donors_alone_and_is_judged_on_the_same_cells(
    tmp_path: Path, make_run: Make, known_stainer: Make, spy: Spy
) -> None:
    run = make_run(tmp_path / "run")
    result = evaluate(PatchDataset.open(run / "dataset"), run, known_stainer(regressor=True, error=0.03))
    assert [call["donors"] for call in spy.calls] == [{"D2", "D3"}]
    quantity = result.quantities[0]
    d1 = quantity.donors[0]
    assert d1.regressor is not None
    assert (d1.regressor.cells, d1.regressor.mae) == (7, pytest.approx(0.02, abs=1e-6))
    assert d1.regressor_skill == pytest.approx(1 - 0.02 / d1.constant_mae, abs=1e-4)
    assert quantity.regressor_interval is not None
    assert quantity.regressor_interval.gain_low == pytest.approx(d1.constant_mae - 0.02, abs=0.02)
    assert result.quantities[1].donors[0].regressor is None  # only the value of interest
    assert "has 0.0200 on the same cells (75 % better than a constant); the virtual stains add nothing" in describe(
        result
    )
    assert Evaluation.read(run).model_dump_json() == result.model_dump_json()
    table = pd.read_csv(run / "evaluation" / "donors.csv").set_index(["quantity", "donor"])
    assert table.loc[("dfi", "D1"), "regressor_mae"] == pytest.approx(0.02, abs=1e-6)


def test_what_it_said_is_kept_until_something_it_depends_on_changes(
    tmp_path: Path, make_run: Make, experiment: Make, spy: Spy
) -> None:
    run = make_run(tmp_path / "run")
    dataset = PatchDataset.open(run / "dataset")
    cells = dataset.accepted().rename(columns={"dfi": "true_dfi"})

    def predict(test_donors: tuple[str, ...] = ("D1",), values: pd.DataFrame = cells) -> int:
        predict_directly(dataset, values, "true_dfi", experiment(test_donors, regressor=True), run)
        return len(spy.calls)

    assert predict() == 1
    assert predict() == 1
    assert predict(("D2",)) == 2
    assert predict(("D2",), cells.assign(true_dfi=cells["true_dfi"] + 0.01)) == 3
    (run / regression.FILE).write_text("{")
    assert predict(("D2",)) == 4


def test_it_learns_from_so_many_cells_and_no_more(tmp_path: Path, make_run: Make, experiment: Make, spy: Spy) -> None:
    run = make_run(tmp_path / "run")
    dataset = PatchDataset.open(run / "dataset")
    limited = experiment(regressor=True).model_copy(
        update={"baseline": experiment().baseline.model_copy(update={"max_cells": 5, "regressor": True})}
    )
    found = predict_directly(dataset, dataset.accepted(), "dfi", limited, run)
    assert spy.calls[0]["patches"] == 5
    assert len(found) == 21


def test_values_that_are_no_numbers_are_an_error(tmp_path: Path, make_run: Make, experiment: Make, spy: Spy) -> None:
    run = make_run(tmp_path / "run")
    dataset = PatchDataset.open(run / "dataset")
    spy.offset = float("nan")
    with pytest.raises(VsfError, match="not finite; change its parameters, or set"):
        predict_directly(dataset, dataset.accepted(), "dfi", experiment(regressor=True), run)
    with pytest.raises(VsfError, match="no donor to learn from"):
        predict_directly(dataset, dataset.accepted(), "dfi", experiment(("D1", "D2", "D3"), regressor=True), run)


def test_the_built_in_one_runs_and_can_be_switched_off(tmp_path: Path, make_run: Make, known_stainer: Make) -> None:
    run = make_run(tmp_path / "run")
    dataset = PatchDataset.open(run / "dataset")
    evaluate(dataset, run, known_stainer(regressor=True))
    assert np.isfinite(read_cells(run)["regressor_dfi"]).all()
    without = evaluate(dataset, run, known_stainer(regressor=False))
    assert without.regressor == ""
    assert "regressor_dfi" not in read_cells(run)
