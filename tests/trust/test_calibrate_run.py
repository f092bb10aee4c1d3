"""The stage of a run: learnt from training donors, calibrated on theirs, silent about test donors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trust.conftest import SPLIT
from vsframework.config import load_experiment, parse_experiment, write_experiment
from vsframework.errors import UsageError, VsfError
from vsframework.evaluation import evaluate
from vsframework.evaluation.figures import donor_coverage, risk_coverage_curve
from vsframework.evaluation.results import Evaluation, read_cells
from vsframework.evaluation.trust_wording import trust_sentences
from vsframework.evaluation.trusting import risk_coverage
from vsframework.trust import Judge, Trust, calibrate

Make = Callable[..., Any]


def test_a_test_donor_is_never_calibrated_on() -> None:
    for other in ("calibration_donors", "validation_donors"):
        tables = {"data": {"root": "raw"}, "split": {"test_donors": ["D1"], other: ["D2", "D1"]}}
        with pytest.raises(UsageError, match="cannot be a test donor and a"):
            parse_experiment(tables, "experiment.toml")
    both = {"validation_donors": ["D2"], "calibration_donors": ["D2"]}
    with pytest.raises(UsageError, match="it chose the weights"):
        parse_experiment({"data": {"root": "raw"}, "split": both}, "experiment.toml")


def test_a_split_that_was_put_together_in_code_is_refused_too(make_run: Make) -> None:
    run, dataset, stainer = make_run()
    split = stainer.experiment.split.model_copy(update={"calibration_donors": ("D3", "D1")})
    stainer.experiment = stainer.experiment.model_copy(update={"split": split})
    with pytest.raises(UsageError, match="D1 is tested on"):
        calibrate(dataset, run, stainer)
    assert Trust.read(run) is None


def test_what_is_learnt_does_not_depend_on_any_test_donor(make_run: Make) -> None:
    one = calibrate(*_arguments(make_run()))
    other = calibrate(*_arguments(make_run(study={"spoil": ("D1", "D2")})))
    assert one.dataset != other.dataset
    assert one.gates == other.gates
    assert one.quantities == other.quantities


def test_calibration_and_training_donors_do_what_they_are_for(make_run: Make) -> None:
    plain = calibrate(*_arguments(make_run()))
    assert plain.gates.donors == ("D6", "D7", "D8")
    assert plain.gates.cells == 36
    assert plain.intervals.donors == ("D3", "D4", "D5")
    dfi = plain.quantities[0]
    assert (dfi.name, dfi.difficulty.fitted_on) == ("dfi", "training donors")
    assert dfi.interval is not None
    assert 30 <= dfi.interval.cells <= 36
    assert set(dfi.interval.across_donors) == {"D3", "D4", "D5"}
    watched = calibrate(*_arguments(make_run({**SPLIT, "validation_donors": ["D6"]})))
    assert watched.quantities[0].difficulty.fitted_on == "validation donors"
    assert watched.gates.donors == ("D7", "D8")


def test_without_calibration_donors_there_are_gates_and_the_reason_why_there_are_no_intervals(make_run: Make) -> None:
    run, dataset, stainer = make_run({"test_donors": ["D1"]})
    trust = calibrate(dataset, run, stainer)
    assert len(trust.gates.table) == 6
    assert trust.quantities[0].interval is None
    assert "set [split] calibration_donors" in trust.intervals.missing
    result = evaluate(dataset, run, stainer)
    assert result.trust is not None
    assert read_cells(run)["lower_dfi"].isna().all()
    assert np.isnan(result.trust.quantities[0].covered)
    assert result.trust.quantities[0].risk_coverage is not None
    assert any("set [split] calibration_donors" in line for line in _sentences(result))


def test_intervals_hold_on_donors_never_looked_at(make_run: Make) -> None:
    run, dataset, stainer = make_run(study={"per_donor": 60}, gates=["exposure"])
    calibrate(dataset, run, stainer)
    trust = evaluate(dataset, run, stainer).trust
    assert trust is not None
    dfi = trust.quantities[0]
    # 120 cells like those calibrated on: 90 %, give or take 3 standard deviations of calibrating and of testing
    assert dfi.covered == pytest.approx(0.9, abs=3 * np.sqrt(0.09 / 120 + 0.09 / 180))
    assert 2 * 1.3 * 0.02 < dfi.width < 2 * 2.2 * 0.02  # the errors are normal with S.D. 0.02: 1.64 on either side
    assert [row.donor for row in dfi.donors] == ["D1", "D2"]
    assert sum(row.answered for row in dfi.donors) == trust.answered


def test_intervals_do_not_hold_on_a_donor_with_larger_errors(make_run: Make) -> None:
    run, dataset, stainer = make_run(study={"per_donor": 40}, gates=["exposure"])
    calibrate(dataset, run, stainer)
    noisy = stainer.stain

    def biased(brightfield: Any) -> Any:
        stains = noisy(brightfield)
        return np.stack([stains[:, 0] * 0.8, stains[:, 1] * 1.6], axis=1)

    stainer.stain = biased
    trust = evaluate(dataset, run, stainer).trust
    assert trust is not None
    assert trust.quantities[0].covered < 0.7  # an evaluation that could not show this would be worth nothing


def test_a_planted_blank_gets_no_number_but_its_reason(make_run: Make) -> None:
    run, dataset, stainer = make_run(study={"spoil": ("D1", "D2")})
    calibrate(dataset, run, stainer)
    result = evaluate(dataset, run, stainer)
    cells = read_cells(run).set_index("id")
    blank = cells.loc[["D1/F/0", "D2/F/0"]]
    assert (blank["answered"] == 0).all()
    assert blank["reason"].str.len().min() > 20
    assert blank[["lower_dfi", "upper_dfi"]].isna().all(axis=None)
    answered = cells[cells["answered"] == 1]
    assert answered["reason"].isna().all()
    assert (answered["lower_dfi"] < answered["virtual_dfi"]).all()
    assert (answered["virtual_dfi"] < answered["upper_dfi"]).all()
    assert result.trust is not None
    assert result.trust.cells - result.trust.answered >= 2
    assert any("get no number" in line for line in _sentences(result))
    assert Evaluation.read(run).trust == result.trust or "NaN" in repr(result.trust)


def test_a_run_without_a_table_is_evaluated_as_before(make_run: Make) -> None:
    run, dataset, stainer = make_run()
    assert evaluate(dataset, run, stainer).trust is None
    assert "answered" not in read_cells(run)


def test_a_table_of_other_weights_is_refused(make_run: Make) -> None:
    run, dataset, stainer = make_run()
    calibrate(dataset, run, stainer)
    (run / "checkpoints" / "final" / "generators.safetensors").write_bytes(b"trained again")
    with pytest.raises(VsfError, match="other weights"):
        evaluate(dataset, run, stainer)


def test_a_damaged_table_is_refused_in_one_sentence(make_run: Make) -> None:
    run, dataset, stainer = make_run()
    calibrate(dataset, run, stainer)
    path = run / "trust.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(VsfError, match="cannot be read; run 'vsf calibrate"):
        Judge.load(run)


def test_the_table_reads_back_equal_and_a_gate_of_another_version_is_refused(make_run: Make) -> None:
    run, dataset, stainer = make_run()
    trust = calibrate(dataset, run, stainer)
    assert Trust.read(run) == trust
    document = json.loads((run / "trust.json").read_text())
    document["gates"]["table"][0]["version"] = "0"
    with pytest.raises(VsfError, match="the gate focus is version 2 here"):
        Judge(Trust.model_validate(document))


def test_fields_are_not_judged(make_run: Make) -> None:
    judge = Judge(calibrate(*_arguments(make_run())))
    with pytest.raises(VsfError, match=r"these are \[1, 96, 96\]"):
        judge.judge(np.zeros((1, 1, 96, 96), dtype=np.float32))


def test_a_dataset_built_again_is_refused(make_run: Make) -> None:
    run, dataset, stainer = make_run()
    stainer.info = {"dataset_hash": "another"}
    with pytest.raises(VsfError, match="train again"):
        calibrate(dataset, run, stainer)


def test_gates_can_be_chosen_and_survive_the_experiment_file(make_run: Make, tmp_path: Path) -> None:
    gates = ["focus", {"name": "black-borders", "at_most": 0.01}]
    run, dataset, stainer = make_run(gates=gates, coverage=0.8)
    path = tmp_path / "written.toml"
    write_experiment(stainer.experiment, path)
    assert load_experiment(path).trust == stainer.experiment.trust
    trust = calibrate(dataset, run, stainer)
    assert [(table.name, table.parameters) for table in trust.gates.table] == [
        ("focus", {}),
        ("black-borders", {"at_most": 0.01}),
    ]
    assert trust.gates.table[1].measures[0].high == 0.01


def test_the_risk_falls_when_the_hardest_cells_are_left_out() -> None:
    rng = np.random.default_rng(0)
    expected = rng.uniform(0.01, 0.1, 500)
    error = np.abs(rng.normal(0, expected))
    inside = np.ones(500, dtype=bool)
    curve = risk_coverage(error, expected, inside)
    assert curve.share[-1] == 1
    assert curve.error[-1] == pytest.approx(curve.overall)
    assert curve.error[50] < 0.8 * curve.overall
    assert 0.2 < curve.skill < 1
    blind = risk_coverage(error, rng.permutation(expected), inside)
    assert abs(blind.skill) < 0.15
    outside = inside.copy()
    outside[np.argsort(error)[-50:]] = False  # what gates are for
    assert risk_coverage(error, expected, outside).error[-11] < curve.error[-11]


def test_the_figures_are_drawn(make_run: Make) -> None:
    run, dataset, stainer = make_run()
    calibrate(dataset, run, stainer)
    trust = evaluate(dataset, run, stainer).trust
    assert trust is not None
    for drawn in (risk_coverage_curve(trust.quantities[0], trust), donor_coverage(trust.quantities[0], trust.level)):
        assert drawn.startswith("<svg")
        assert "cells answered" in drawn or "hold the true value" in drawn


def _arguments(made: Any) -> Any:
    run, dataset, stainer = made
    return dataset, run, stainer


def _sentences(result: Evaluation) -> list[str]:
    assert result.trust is not None
    return trust_sentences(result.trust, result.trust.quantities[0])
