"""Comparing models over donors: the paper's own table, and runs whose difference is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from vsframework.cli.compare import command
from vsframework.dataset.store import PatchDataset
from vsframework.errors import UsageError, VsfError
from vsframework.evaluation import evaluate
from vsframework.evaluation.compared_errors import compare_runs, compare_table
from vsframework.evaluation.comparing import Comparison, compare, holm
from vsframework.evaluation.results import read_cells

Make = Callable[..., Any]
TABLE_1 = Path(__file__).resolve().parents[2] / "docs" / "table1.csv"


def p_values(found: Comparison, test: str) -> list[float]:
    return [next(outcome.p for outcome in pair.tests if outcome.test == test) for pair in found.pairs]


def test_the_papers_table_gives_its_p_values_and_what_the_paired_tests_say_of_them() -> None:
    found = compare_table(TABLE_1)
    pairs = [(pair.first, pair.second) for pair in found.pairs]
    assert pairs == [("noisy", "denoised"), ("noisy", "pix2pix++ denoised"), ("denoised", "pix2pix++ denoised")]
    assert p_values(found, "Student's unpaired t") == pytest.approx([0.148, 0.026, 0.642], abs=5e-4)
    assert p_values(found, "paired t") == pytest.approx([0.156, 0.072, 0.371], abs=5e-4)
    assert p_values(found, "Wilcoxon signed-rank") == pytest.approx([0.19, 0.16, 0.44], abs=5e-3)
    # what the paper calls significant is not, neither paired nor corrected for three comparisons
    assert all(outcome.p_holm > 0.05 for pair in found.pairs for outcome in pair.tests)


def test_the_two_printed_means_that_differ_from_their_rows_are_named() -> None:
    notes = [note for note in compare_table(TABLE_1).notes if "printed mean" in note]
    assert notes == [
        "The printed mean MAE of noisy, .0215, is not the mean of its rows, 0.0227.",
        "The printed mean MAPE of pix2pix++ denoised, .2114, is not the mean of its rows, 0.2128.",
    ]


def test_the_command_prints_writes_and_speaks_json(tmp_path: Path) -> None:
    plain = CliRunner().invoke(command, [str(TABLE_1), "--csv", str(tmp_path / "pairs.csv")])
    assert plain.exit_code == 0, plain.output
    assert "0.026 (0.077)" in plain.output
    table = pd.read_csv(tmp_path / "pairs.csv").set_index(["first", "second", "test"])
    assert table.loc[("noisy", "denoised", "paired t"), "p_holm"] == pytest.approx(0.313, abs=5e-4)
    answer = json.loads(CliRunner().invoke(command, [str(TABLE_1), "--metric", "mape", "--json"]).output)
    assert answer["metric"] == "mape"
    assert answer["methods"][0]["mean"] == pytest.approx(0.2518, abs=5e-5)


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=8))
def test_holm_is_between_no_correction_and_bonferroni_and_keeps_the_order(found: list[float]) -> None:
    corrected = holm(found)
    for p, after in zip(found, corrected, strict=True):
        assert p <= after <= min(1, p * len(found)) + 1e-12
    assert list(np.argsort(found, kind="stable")) == list(np.argsort(corrected, kind="stable")) or len(
        set(corrected)
    ) < len(corrected)
    assert max(corrected) >= max(found)


def test_one_donor_has_intervals_of_its_cells_and_no_test() -> None:
    cells = np.linspace(0.01, 0.05, 30)
    found = compare({"a": {"D1": cells + 0.01}, "b": {"D1": cells}})
    assert all(np.isnan(outcome.p) for outcome in found.pairs[0].tests)
    interval = found.pairs[0].interval
    assert interval is not None
    assert (interval.resampled, interval.gain_low) == ("cells", pytest.approx(0.01))


def test_equal_models_cannot_be_told_apart() -> None:
    same = {"D1": np.array([0.1, 0.2]), "D2": np.array([0.3])}
    found = compare({"a": same, "b": same})
    assert found.pairs[0].gain == 0
    assert all(np.isnan(outcome.p_holm) for outcome in found.pairs[0].tests)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, make_run: Make, known_stainer: Make) -> list[Path]:
    """Two runs on the same cells, 0.01 and 0.03 off; only to be read."""
    root = tmp_path_factory.mktemp("compared")
    first = make_run(root / "good", test_donors=("D1", "D2"))
    second = Path(shutil.copytree(first, root / "poor"))
    for run, error in ((first, 0.01), (second, 0.03)):
        evaluate(PatchDataset.open(run / "dataset"), run, known_stainer(["D1", "D2"], error=error))
    return [first, second]


def test_runs_are_compared_on_the_held_out_cells_they_share(runs: list[Path], tmp_path: Path) -> None:
    found = compare_runs(runs, baselines=True)
    assert found.donors == ("D1", "D2")
    assert [method.name for method in found.methods] == [str(runs[0]), "constant", str(runs[1])]
    assert found.methods[0].errors == pytest.approx((0.01, 0.01), abs=1e-5)
    pair = next(pair for pair in found.pairs if pair.second == str(runs[1]) and pair.first == str(runs[0]))
    assert pair.gain == pytest.approx(-0.02, abs=1e-5)
    assert pair.interval is not None
    assert (pair.interval.resampled, pair.interval.cells) == ("donors", 14)

    other = Path(shutil.copytree(runs[1], tmp_path / "other"))
    cells = read_cells(other)
    cells[cells["id"] != "D1/F0/3"].to_csv(other / "evaluation" / "cells.csv", index=False)
    notes = compare_runs([runs[0], other]).notes
    assert notes == ("1 cells of held-out donors that not every model gave a value for are left out.",)
    assert compare_runs([runs[0], runs[1]], quantity="dsDNA_sum", metric="mape").unit == "counts"


def test_what_cannot_be_compared_is_said_in_one_sentence(
    runs: list[Path], tmp_path: Path, make_run: Make, known_stainer: Make
) -> None:
    with pytest.raises(UsageError, match="stands twice"):
        compare_runs([runs[0], runs[0]])
    with pytest.raises(UsageError, match="two runs or more"):
        compare_runs(runs[:1])
    with pytest.raises(UsageError, match="has no quantity 'ratio'; it has dfi"):
        compare_runs(runs, quantity="ratio")
    third = make_run(tmp_path / "third", test_donors=("D3",))
    evaluate(PatchDataset.open(third / "dataset"), third, known_stainer(["D3"]))
    with pytest.raises(UsageError, match="share no cell of a held-out donor"):
        compare_runs([runs[0], third])


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("method,donor\na,1\n", UsageError, "has no column mae"),
        ("method,donor,mae\na,1,0.1\na,2,0.1\nb,1,0.1\n", UsageError, "each with the same donors"),
        ("method,donor,mae\na,1,x\nb,1,0.1\n", VsfError, "holds 'x' where a number is needed"),
        ("", UsageError, "has no column method, donor, mae"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, kind: type[Exception], sentence: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(kind, match=sentence):
        compare_table(tmp_path / "table.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        compare_table(tmp_path / "none.csv")
