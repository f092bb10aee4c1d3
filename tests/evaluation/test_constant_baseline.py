"""The constant that every result is shown against."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsframework.errors import VsfError
from vsframework.evaluation.baselines import donor_constants
from vsframework.evaluation.donors import constant_results

cells = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C"]), st.floats(0, 1, width=32)), min_size=3, max_size=30
).filter(lambda rows: {"A", "B", "C"} == {donor for donor, _ in rows})


@given(cells, st.floats(0, 1, width=32))
def test_the_own_cells_of_a_donor_have_no_say_in_its_constant(rows: list[tuple[str, float]], other: float) -> None:
    donors = [donor for donor, _ in rows]
    before = donor_constants(donors, np.array([value for _, value in rows]))
    after = donor_constants(donors, np.array([other if donor == "A" else value for donor, value in rows]))
    assert before["A"] == after["A"]


@given(cells, st.floats(0, 1, width=32))
def test_no_constant_fits_the_training_donors_better(rows: list[tuple[str, float]], other: float) -> None:
    seen = np.array([value for donor, value in rows if donor != "A"])
    constant = donor_constants([donor for donor, _ in rows], np.array([value for _, value in rows]), ["B", "C"])["A"]
    assert np.abs(seen - constant).mean() <= np.abs(seen - other).mean() + 1e-12


@given(cells)
def test_held_out_donors_have_no_say_in_any_constant(rows: list[tuple[str, float]]) -> None:
    donors = [donor for donor, _ in rows]
    values = np.array([value for _, value in rows])
    moved = np.where(np.array(donors) == "C", values + 5, values)
    assert donor_constants(donors, values, ["A", "B"]) == donor_constants(donors, moved, ["A", "B"])


def test_the_only_donor_trained_on_has_no_constant_but_held_out_ones_do() -> None:
    found = donor_constants(["A", "B"], np.array([0.1, 0.2]), trained_on=["A"])
    assert math.isnan(found["A"])
    assert found["B"] == 0.1


@pytest.mark.parametrize(("donors", "trained_on"), [(["A", "A"], None), (["A", "B"], []), ([], None)])
def test_without_another_donor_there_is_no_baseline(donors: list[str], trained_on: list[str] | None) -> None:
    with pytest.raises(VsfError, match="at least one other donor"):
        donor_constants(donors, np.full(len(donors), 0.1), trained_on)


def test_a_cell_without_a_measured_value_is_named_and_not_left_out() -> None:
    table = pd.DataFrame({"id": ["a", "b"], "donor": ["A", "B"], "dfi": [0.1, np.nan]})
    with pytest.raises(VsfError, match=r"1 accepted cell.* b of donor B"):
        constant_results(table, "dfi")


@pytest.mark.realdata
def test_the_constant_on_the_measured_crops_is_the_known_one(real_data: Path) -> None:
    table = pd.read_csv(real_data / "mccallum2019_crops" / "DFIs.csv", index_col=0)
    found = constant_results(table.rename(columns={"sample": "donor", "DFI": "dfi"}).assign(id=table.index), "dfi")
    assert [donor for donor, _, _ in found] == ["S1", "S2", "S3", "S4", "S5", "S6"]
    maes = [fit.mae for _, _, fit in found]
    mapes = [fit.mape for _, _, fit in found]
    assert maes == pytest.approx([0.0158, 0.0167, 0.0275, 0.0286, 0.0441, 0.0298], abs=5e-5)
    assert mapes == pytest.approx([0.147, 0.185, 0.206, 0.186, 0.286, 0.188], abs=5e-4)
    assert np.mean(maes) == pytest.approx(0.0271, abs=5e-5)
    assert np.mean(mapes) == pytest.approx(0.200, abs=5e-4)
