"""The edge reads the table that a run wrote, and decides as the core does: same cells, same words, same intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.trust.conftest import SIDE, drawn_cell
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.trust import TrustTable
from vsframework.trust import Judge, calibrate
from vsframework.trust.table import Trust

Make = Callable[..., Any]


@pytest.fixture
def table(make_run: Make) -> Path:
    run, dataset, stainer = make_run()
    calibrate(dataset, run, stainer)
    path: Path = run / "trust.json"
    return path


def images() -> npt.NDArray[np.float32]:
    """Good cells, and everything that can be wrong with one."""
    rng = np.random.default_rng(3)
    good = [drawn_cell(rng) for _ in range(12)]
    black = good[0].copy()
    black[:8, :8] = 0
    blank, full, noise = (np.full((SIDE, SIDE), level) for level in (0.0, 255.0, 128.0))
    noise = noise + rng.normal(0, 30, noise.shape)
    odd = [np.roll(good[1], 14, axis=1), 255 - good[2], np.minimum(good[3] * 2, 255), black, blank, full, noise]
    broken = good[4].copy()
    broken[5, 5] = np.nan
    return np.stack([*good, *odd, broken])[:, None].astype(np.float32)


def test_the_same_cells_are_answered_for_the_same_reasons(table: Path) -> None:
    judge = Judge.load(table.parent)
    assert judge is not None
    edge = TrustTable(table.read_bytes(), "trust.json")
    with np.errstate(invalid="ignore"):
        here, there = judge.judge(images()), edge.judge(images())
    assert here.answered[:12].sum() >= 8
    assert not here.answered[12:].any()
    assert here.answered.tolist() == there.answered.tolist()
    assert here.reasons == there.reasons
    np.testing.assert_array_equal(here.scores, there.scores)
    assert (edge.planes, edge.size, edge.coverage, edge.missing) == (1, SIDE, 0.9, "")


def test_the_same_values_get_the_same_intervals(table: Path) -> None:
    judge = Judge.load(table.parent)
    assert judge is not None
    edge = TrustTable(table.read_bytes(), "trust.json")
    with np.errstate(invalid="ignore"):
        verdicts, there = judge.judge(images()), edge.judge(images())
    values = np.linspace(0.0, 0.5, len(images()))
    values[3] = np.nan
    for quantity in ("dfi", "dsDNA_sum", "nothing"):
        for mine, theirs in zip(
            judge.intervals(quantity, values, verdicts), edge.intervals(quantity, values, there), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    lower, upper, _ = edge.intervals("dfi", values, there)
    assert np.isfinite(lower).tolist() == (there.answered & np.isfinite(values)).tolist()
    assert (upper[there.answered & np.isfinite(values)] > lower[there.answered & np.isfinite(values)]).all()


def test_no_interval_reaches_where_no_value_can_be_and_none_loses_a_true_value(table: Path) -> None:
    document = json.loads(table.read_text())
    assert [(item["name"], item["lowest"], item["highest"]) for item in document["quantities"]] == [("dfi", 0, 1)]
    document["quantities"][0]["interval"]["quantile"] = 20.0
    verdicts = TrustTable(table.read_bytes(), "trust.json").judge(np.repeat(images()[:1], 200, axis=0))
    assert verdicts.answered.all()
    rng = np.random.default_rng(0)
    values, truths = rng.uniform(0, 1, 200), rng.uniform(0, 1, 200)

    def ends(whole: bool) -> tuple[Any, Any]:
        found = TrustTable(json.dumps(document).encode(), "trust.json", whole=whole)
        return found.intervals("dfi", values, verdicts)[:2]

    (low, high), (whole_low, whole_high) = ends(False), ends(True)
    assert whole_low.min() < 0
    assert whole_high.max() > 1
    assert low.min() == 0
    assert high.max() == 1
    np.testing.assert_array_equal((low <= truths) & (truths <= high), (whole_low <= truths) & (truths <= whole_high))
    judge = Judge(Trust.model_validate(document))
    for mine, theirs in zip(judge.intervals("dfi", values, verdicts), (low, high), strict=False):
        np.testing.assert_array_equal(mine, theirs)
    for key in ("lowest", "highest"):  # as in a table of before
        del document["quantities"][0][key]
    np.testing.assert_array_equal(ends(False)[0], whole_low)
    np.testing.assert_array_equal(
        Judge(Trust.model_validate(document)).intervals("dfi", values, verdicts)[1], whole_high
    )


def test_without_intervals_the_edge_says_why(make_run: Make) -> None:
    run, dataset, stainer = make_run({"test_donors": ["D1"]})
    calibrate(dataset, run, stainer)
    edge = TrustTable((run / "trust.json").read_bytes(), "trust.json")
    verdicts = edge.judge(images()[:12])
    lower, _, expected = edge.intervals("dfi", np.full(12, 0.1), verdicts)
    assert "calibration_donors" in edge.missing
    assert np.isnan(lower).all()
    assert (expected > 0).all()


def test_a_field_is_no_patch(table: Path) -> None:
    edge = TrustTable(table.read_bytes(), "trust.json")
    with pytest.raises(EdgeError, match="cut one patch per cell"):
        edge.judge(np.zeros((1, 1, 480, 640), dtype=np.float32))


def change(document: Any, *path: Any, to: Any) -> Any:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = to
    return document


@pytest.mark.parametrize(
    ("path", "to", "sentence"),
    [
        (("format",), "another", "is no trust table"),
        (("schema_version",), 2, "newer vsf-edge"),
        (("gates", "table", 0, "version"), "0", "learnt with version 0 of the gate focus"),
        (("gates", "table", 0, "parameters"), {"unknown": 1}, "could not be loaded"),
        (("gates", "table", 5, "precision"), [[1.0]], "damaged"),
        (("gates", "table", 0, "measures"), "text", "damaged"),
        (("quantities", 0, "difficulty", "weights"), [1.0], "damaged"),
        (("quantities", 0, "interval"), 3, "damaged"),
        (("quantities", 0, "lowest"), 1, "dfi is to lie between 1.0 and 1.0"),
        (("quantities", 0, "highest"), "much", "damaged"),
        (("gates",), None, "damaged"),
    ],
)
def test_a_damaged_table_is_refused_in_one_sentence(table: Path, path: tuple[Any, ...], to: Any, sentence: str) -> None:
    document = json.loads(table.read_text())
    change(document, *path, to=to)
    with pytest.raises(EdgeError, match=sentence):
        TrustTable(json.dumps(document).encode(), "trust.json")


def test_a_gate_that_is_not_here_is_named(table: Path) -> None:
    document = json.loads(table.read_text())
    change(document, "gates", "table", 0, "name", to="focuss")
    with pytest.raises(EdgeUsageError, match="no gate 'focuss'; did you mean 'focus'"):
        TrustTable(json.dumps(document).encode(), "trust.json")


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"[]", b"{}", b"[" * 100000])
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(EdgeError, match="damaged"):
        TrustTable(text, "trust.json")
