"""Drift between a runtime and torch is measured per stain and per quantity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsf_edge.errors import EdgeError
from vsf_edge.manifest import Manifest, Quantity, Stain
from vsf_edge.parity import TOLERANCE, compare

MANIFEST = Manifest(
    input_name="brightfield",
    in_channels=1,
    input_full_scale=255.0,
    height=2,
    width=2,
    stride=1,
    stains_output="stains",
    stains=(Stain(name="dsDNA", full_scale=200.0), Stain(name="ssDNA", full_scale=20.0)),
    quantities=(
        Quantity(name="dfi", unit="1", description="", output="dfi"),
        Quantity(name="sum", unit="counts", description="", output="sum"),
    ),
    models={},
    files={},
    document={},
)


def outputs(dfi: float = 0.2, total: float = 5e5) -> dict[str, np.ndarray]:
    stains = np.full((3, 2, 2, 2), 7, np.float32)
    return {"stains": stains, "dfi": np.full(3, dfi, np.float32), "sum": np.full(3, total, np.float32)}


def test_the_same_numbers_do_not_drift() -> None:
    parity = compare(outputs(), outputs(), MANIFEST)
    assert parity.problem == ""
    assert set(parity.record().values()) == {0.0}


def test_an_empty_patch_agrees_with_an_empty_patch_only() -> None:
    nothing = outputs(dfi=float("nan"))
    assert compare(nothing, nothing, MANIFEST).problem == ""
    assert "dfi by inf" in compare(outputs(), nothing, MANIFEST).problem
    assert "dfi by inf" in compare(nothing, outputs(), MANIFEST).problem


@given(shift=st.floats(0, 0.1))
def test_a_ratio_may_drift_by_the_tolerance(shift: float) -> None:
    parity = compare(outputs(dfi=0.2 + shift), outputs(), MANIFEST)
    assert parity.quantities["dfi"] == pytest.approx(shift, abs=1e-7)
    if abs(shift - TOLERANCE) > 1e-7:
        assert bool(parity.problem) == (shift > TOLERANCE)


def test_a_sum_of_counts_drifts_relative_to_itself() -> None:
    assert compare(outputs(total=5e5 + 900), outputs(), MANIFEST).problem == ""
    assert "sum" in compare(outputs(total=5e5 + 1100), outputs(), MANIFEST).problem


def test_stains_are_watched_too_because_a_ratio_hides_a_common_factor() -> None:
    bright = outputs()
    bright["stains"] = bright["stains"].copy()
    bright["stains"][1, 1] += 0.05
    parity = compare(bright, outputs(), MANIFEST)
    assert parity.stains_counts == {"dsDNA": 0.0, "ssDNA": pytest.approx(0.05, rel=1e-5)}
    assert "the stains by 0.0025" in parity.problem


def test_a_lower_precision_is_held_to_the_value_of_interest_alone() -> None:
    moved = outputs(dfi=0.201, total=4.9e5)
    moved["stains"] = moved["stains"] + 1
    assert "the stains" in compare(moved, outputs(), MANIFEST).problem
    assert compare(moved, outputs(), MANIFEST, "int8").problem == ""
    moved["dfi"] = moved["dfi"] + np.float32(0.002)
    assert compare(moved, outputs(), MANIFEST, "int8").problem.startswith("drifts from torch (dfi by 0.003")
    assert compare(moved, outputs(), replace(MANIFEST, drift_limit=0.005), "int8").problem == ""


def test_rounding_to_whole_counts_is_no_drift() -> None:
    whole = outputs()
    whole["stains"] = whole["stains"] + np.float32(0.5)
    assert "the stains" in compare(whole, outputs(), MANIFEST).problem
    assert compare(whole, outputs(), replace(MANIFEST, stains_dtype="uint8")).problem == ""


def test_a_wrong_shape_is_told() -> None:
    with pytest.raises(EdgeError, match="shape"):
        compare(outputs(), {**outputs(), "dfi": np.zeros(2, np.float32)}, replace(MANIFEST, quantities=()))
