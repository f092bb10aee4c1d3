"""Where there is no fluorescence a fold is the direct regressor, beside the constant of the other donors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vsframework.cli.evaluate import command
from vsframework.config import SplitSection
from vsframework.cross_validation import cross_validate
from vsframework.cross_validation.folds import rotated
from vsframework.errors import UsageError, VsfError
from vsframework.evaluation.compared_errors import compare_runs
from vsframework.evaluation.leaks import refuse_leaks
from vsframework.evaluation.report import write_report
from vsframework.evaluation.results import read_cells

Make = Callable[..., Path]
INDEX = {"S1": 0.0158, "S2": 0.0167, "S3": 0.0275, "S4": 0.0286, "S5": 0.0441, "S6": 0.0298}
"""MAE of the constant per held-out donor, as measured on these crops independently of this code."""


def test_the_regressor_and_the_constant_are_judged_on_every_donor(make_crops: Make) -> None:
    file = make_crops()
    told: list[str] = []
    folder, found = cross_validate(file, tell=told.append)
    assert told[1:] == ["S1: regressor: done", "S2: regressor: done", "S3: regressor: done"]
    assert (found.method, found.stains, found.pixels) == ("regressor", (), ())
    first = found.quantities[0]
    cells = read_cells(folder)
    for row in first.donors:
        own = cells[cells["donor"] == row.donor]
        assert row.constant == pytest.approx(np.median(cells.loc[cells["donor"] != row.donor, "true_dfi"]))
        assert row.regressor is not None
        assert row.regressor.mae == pytest.approx((own["regressor_dfi"] - own["true_dfi"]).abs().mean())
        assert row.virtual.cells == 0
    assert first.held_out.regressor_mae == pytest.approx(np.mean([row.regressor.mae for row in first.donors]))  # type: ignore[union-attr]
    assert [method.name for method in compare_runs([folder], baselines=True).methods] == [str(folder), "constant"]
    with pytest.raises(UsageError, match="has no stains to show"):
        write_report(folder)


def test_the_command_prints_the_table_and_speaks_json(make_crops: Make) -> None:
    file = make_crops()
    arguments = [str(file), "--cv", "leave-one-donor-out"]
    plain = CliRunner().invoke(command, arguments)
    assert plain.exit_code == 0, plain.output
    assert "the direct regressor small-cnn has a mean absolute DFI error of" in plain.stdout
    answer = json.loads(CliRunner().invoke(command, [*arguments, "--json"]).stdout)
    assert answer["scheme"] == "leave-one-donor-out"
    assert [row["donor"] for row in answer["quantities"][0]["donors"]] == ["S1", "S2", "S3"]


def test_what_cannot_be_validated_is_refused_in_one_sentence(make_crops: Make) -> None:
    file = make_crops(("S1", "s01"))
    with pytest.raises(UsageError, match="held-out donor 'S1' and donor 's01' look like one donor under two spellings"):
        cross_validate(file, tell=lambda _: None)
    with pytest.raises(UsageError, match=r"baseline\.regressor = false: nothing is left"):
        cross_validate(file, ("baseline.regressor=false",), tell=lambda _: None)
    with pytest.raises(UsageError, match="0 workers"):
        cross_validate(file, workers=0)
    done = CliRunner().invoke(command, [str(file)])
    assert "add --cv leave-one-donor-out" in str(done.exception)


def test_a_single_donor_cannot_be_held_out(make_crops: Make) -> None:
    with pytest.raises(UsageError, match="cells of S1 only"):
        cross_validate(make_crops(("S1",)), tell=lambda _: None)


@pytest.mark.slow  # every process imports torch
def test_workers_give_what_one_process_gives(make_crops: Make) -> None:
    file = make_crops(("S1", "S2"))
    _, alone = cross_validate(file, tell=lambda _: None)
    told: list[str] = []
    folder, together = cross_validate(file, ("output=parallel",), workers=2, tell=told.append)
    assert sorted(told[1:]) == ["S1: done", "S2: done"]
    for one, other in zip(alone.quantities[0].donors, together.quantities[0].donors, strict=True):
        assert one.regressor is not None
        assert other.regressor is not None
        assert other.regressor.mae == pytest.approx(one.regressor.mae, rel=1e-3)
    assert (folder / "folds" / "S1" / "fold.log").read_text() == "regressor: done\n"


@pytest.mark.slow
def test_a_fold_that_fails_in_its_process_is_named_with_its_reason(make_crops: Make) -> None:
    with pytest.raises(VsfError, match=r"the fold of donor S. failed: .*no-such-device.*finished folds are kept"):
        cross_validate(make_crops(), ('regressor.device="no-such-device"',), workers=2, tell=lambda _: None)


def test_spellings_of_one_donor_are_found_and_other_donors_are_not() -> None:
    for one, other in (("S1", "s1"), ("donor 1", "Donor_01"), ("A-7", "a7")):
        with pytest.raises(UsageError, match="look like one donor"):
            refuse_leaks([one], [one, other])
    refuse_leaks(["S1", "1-12"], ["S1", "S11", "S10", "11-2", "S"])


def test_a_donor_that_is_held_out_gives_its_other_role_to_the_next_one() -> None:
    split = SplitSection(test_donors=("Z",), validation_donors=("B",), calibration_donors=("C",))
    for donor in "ABCDE":
        found = rotated(split, donor, list("ABCDE"))
        assert found.test_donors == (donor,)
        assert (len(found.validation_donors), len(found.calibration_donors)) == (1, 1)
        assert len(set(found.held_out)) == 3
    with pytest.raises(UsageError, match="no donor is left to train on"):
        rotated(split, "A", ["A", "B", "C"])


@pytest.mark.realdata
def test_the_constant_on_the_real_crops_is_the_one_known(real_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "crops.toml"
    root = real_data / "mccallum2019_crops"
    file.write_text(
        'regressor = { name = "small-cnn", epochs = 1, size = 16, width = 4 }\n'
        f'[data]\nroot = "{root}"\nlayout = "mccallum-crops"\n[patches]\nsize = 32\n'
    )
    _, found = cross_validate(file, tell=lambda _: None)
    first = found.quantities[0]
    assert {row.donor: round(row.constant_mae, 4) for row in first.donors} == INDEX
    assert round(first.held_out.constant_mae, 4) == 0.0271
    assert {row.donor: row.cells for row in first.donors} == dict(zip(INDEX, (507, 150, 111, 89, 73, 134), strict=True))
