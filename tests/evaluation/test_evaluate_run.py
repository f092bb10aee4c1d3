"""Evaluating a run: every accepted cell is stained, measured and compared, and the tables tell the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vsframework.dataset.store import PatchDataset, PatchWriter
from vsframework.errors import UsageError, VsfError
from vsframework.evaluation import Evaluation, evaluate
from vsframework.evaluation.examples import choose_examples, read_examples
from vsframework.evaluation.histograms import PixelHistograms
from vsframework.evaluation.results import read_cells

Make = Callable[..., Any]


@pytest.fixture
def dataset(tmp_path: Path, make_dataset: Make) -> PatchDataset:
    made: PatchDataset = make_dataset(tmp_path / "dataset")
    return made


def test_a_known_error_is_found_in_every_donor(tmp_path: Path, dataset: PatchDataset, known_stainer: Make) -> None:
    result = evaluate(dataset, tmp_path, known_stainer(error=0.03))
    rows = {row.donor: row for row in result.quantities[0].donors}
    assert set(rows) == {"D1", "D2", "D3"}
    for row in rows.values():
        assert row.virtual.cells == 7
        assert (row.virtual.mae, row.virtual.bias, row.virtual.slope) == pytest.approx((0.03, 0.03, 1), abs=1e-5)


def test_the_constant_of_each_donor_comes_from_the_others_trained_on(
    tmp_path: Path, dataset: PatchDataset, known_stainer: Make
) -> None:
    result = evaluate(dataset, tmp_path, known_stainer())
    constants = {row.donor: row.constant for row in result.quantities[0].donors}
    # D1 (0.20) is held out: the median of D2 (0.10) and D3 (0.14) together; D2 and D3 get each other's
    assert constants == pytest.approx({"D1": 0.12, "D2": 0.14, "D3": 0.10}, abs=1e-5)
    assert [row.donor for row in result.quantities[0].donors if row.held_out] == ["D1"]
    d1 = result.quantities[0].donors[0]
    assert d1.constant_mae == pytest.approx(0.08, abs=1e-5)
    assert d1.skill == pytest.approx(1, abs=1e-3)


def test_the_true_values_are_those_of_the_dataset_and_batches_do_not_matter(
    tmp_path: Path, make_dataset: Make, known_stainer: Make
) -> None:
    dataset = make_dataset(tmp_path / "dataset", per_donor=19)  # more cells than one batch, and not a multiple of it
    evaluate(dataset, tmp_path, known_stainer())
    cells = read_cells(tmp_path)
    expected = dataset.accepted().set_index("id")["dfi"]
    assert list(cells["id"]) == list(expected.index)
    assert cells["true_dfi"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-5)
    assert cells["virtual_dfi"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-5)
    assert (cells["raw_dfi"] > cells["true_dfi"]).all()  # the same background in both stains pulls towards 0.5


def test_what_is_written_reads_back_equal(tmp_path: Path, dataset: PatchDataset, known_stainer: Make) -> None:
    result = evaluate(dataset, tmp_path, known_stainer(error=0.01))
    assert Evaluation.read(tmp_path).model_dump_json() == result.model_dump_json()
    table = pd.read_csv(tmp_path / "evaluation" / "donors.csv")
    assert set(table["quantity"]) == {"dfi", "dsDNA_sum", "ssDNA_sum"}
    dfi = table[table["quantity"] == "dfi"].set_index("donor")
    assert dfi.loc["D1", "mae"] == pytest.approx(result.quantities[0].donors[0].virtual.mae)
    assert dfi["held_out"].to_dict() == {"D1": True, "D2": False, "D3": False}
    assert result.simulated
    assert result.dataset_hash == dataset.info["hash"]


def test_the_means_are_over_donors_and_not_over_cells(tmp_path: Path, make_dataset: Make, known_stainer: Make) -> None:
    dataset = make_dataset(tmp_path / "dataset", donors={"D1": 0.2, "D2": 0.1, "D3": 0.14, "D4": 0.17})
    quantity = evaluate(dataset, tmp_path, known_stainer(["D1", "D2"], error=0.02)).quantities[0]
    maes = [row.constant_mae for row in quantity.donors]
    assert quantity.mean.constant_mae == pytest.approx(np.mean(maes))
    assert quantity.sd.constant_mae == pytest.approx(np.std(maes, ddof=1))
    assert quantity.held_out.constant_mae == pytest.approx(np.mean(maes[:2]))
    assert quantity.interval is not None
    assert (quantity.interval.resampled, quantity.interval.donors, quantity.interval.cells) == ("donors", 2, 14)


def test_examples_are_the_best_median_and_worst_held_out_cells(
    tmp_path: Path, dataset: PatchDataset, known_stainer: Make
) -> None:
    evaluate(dataset, tmp_path, known_stainer(error=0.05))
    examples = read_examples(tmp_path)
    assert {example.cell.split("/")[0] for example in examples} == {"D1"}
    assert [example.rule for example in examples] == ["best", "median", "worst"]
    first = dataset.accepted().set_index("id").loc[examples[0].cell, "patch"]
    assert dataset.denoised is not None
    np.testing.assert_array_equal(examples[0].true, np.asarray(dataset.denoised[int(first)]))


def test_example_rules_follow_the_error_and_missing_values_count_as_worst() -> None:
    cells = pd.DataFrame(
        {"patch": range(5), "true_dfi": [0.1] * 5, "virtual_dfi": [0.15, 0.11, np.nan, 0.1, 0.3]},
    )
    assert choose_examples(cells, "dfi") == {"best": 3, "median": 0, "worst": 2}
    assert choose_examples(cells[:1], "dfi") == {"best": 0}
    assert choose_examples(cells[:2], "dfi") == {"best": 1, "worst": 0}


def test_histograms_count_every_pixel_that_is_not_zero(
    tmp_path: Path, dataset: PatchDataset, known_stainer: Make
) -> None:
    evaluate(dataset, tmp_path, known_stainer())
    found = PixelHistograms.read(tmp_path)
    assert dataset.raw is not None
    assert dataset.denoised is not None
    for kind, array in (("raw", dataset.raw), ("true", dataset.denoised)):
        pixels = np.asarray(array)
        assert found.counts[kind].sum(axis=1).tolist() == (pixels > 0).sum(axis=(0, 2, 3)).tolist()
    # the background level of the raw stains is where most of their pixels are, and it is gone after denoising
    assert found.counts["raw"][0].argmax() == 5
    assert found.counts["true"][0, :50].sum() == 0


def test_a_virtual_stain_without_signal_is_counted_and_not_hidden(
    tmp_path: Path, dataset: PatchDataset, known_stainer: Make
) -> None:
    stainer = known_stainer()
    stainer.stain = lambda brightfield: np.zeros((len(brightfield), 2, *brightfield.shape[2:]), dtype=np.float32)
    result = evaluate(dataset, tmp_path, stainer)
    assert (result.empty_virtual, result.empty_true) == (7, 0)
    assert result.quantities[0].held_out.mae == pytest.approx(0.20, abs=1e-5)


def test_values_that_cannot_be_computed_are_counted_as_such(
    tmp_path: Path, dataset: PatchDataset, known_stainer: Make
) -> None:
    class Undefined:
        def __init__(self, inner: Any) -> None:
            self.quantities = inner.quantities
            self.inner = inner

        def measure(self, stains: Any, channels: Any) -> dict[str, Any]:
            values = dict(self.inner.measure(stains, channels))
            return {**values, "dfi": np.where(values["dfi"] > 0.225, np.nan, values["dfi"])}

    stainer = known_stainer(error=0.02)
    stainer.quantifier = Undefined(stainer.quantifier)
    with pytest.raises(VsfError, match=r"accepted cells have no measured dfi \(the first is D1/F0/6"):
        evaluate(dataset, tmp_path, stainer)

    class OnlyVirtual(Undefined):
        calls = 0

        def measure(self, stains: Any, channels: Any) -> dict[str, Any]:
            self.calls += 1  # raw, true, virtual, and again
            known = dict(self.inner.measure(stains, channels))
            return super().measure(stains, channels) if self.calls % 3 == 0 else known

    stainer.quantifier = OnlyVirtual(known_stainer().quantifier)
    quantity = evaluate(dataset, tmp_path, stainer).quantities[0]
    assert (quantity.unmeasurable, quantity.held_out_cells) == (3, 4)
    assert json.loads((tmp_path / "evaluation" / "summary.json").read_text())["quantities"][0]["name"] == "dfi"


def test_without_a_held_out_donor_nothing_is_claimed(
    tmp_path: Path, dataset: PatchDataset, known_stainer: Make
) -> None:
    with pytest.raises(UsageError, match="test_donors"):
        evaluate(dataset, tmp_path, known_stainer([]))
    with pytest.raises(UsageError, match="no cells of donor D9"):
        evaluate(dataset, tmp_path, known_stainer(["D9"]))
    assert not (tmp_path / "evaluation").exists()


def test_a_held_out_donor_that_was_trained_on_under_another_spelling_is_refused(
    tmp_path: Path, make_dataset: Make, known_stainer: Make
) -> None:
    dataset = make_dataset(tmp_path / "dataset", donors={"D1": 0.2, "d01": 0.2, "D3": 0.1})
    with pytest.raises(UsageError, match="held-out donor 'D1' and donor 'd01' look like one donor"):
        evaluate(dataset, tmp_path, known_stainer())


def test_other_stains_are_refused(tmp_path: Path, dataset: PatchDataset, known_stainer: Make) -> None:
    with pytest.raises(VsfError, match=r"DAPI.*dsDNA, ssDNA"):
        evaluate(dataset, tmp_path, known_stainer(stains=("DAPI",)))


def test_a_dataset_without_fluorescence_is_refused_with_what_to_do(tmp_path: Path, known_stainer: Make) -> None:
    from vsframework.dataset.store import Patch

    with PatchWriter(tmp_path / "labels", stains=("dsDNA", "ssDNA"), size=16, has_stains=False) as writer:
        row = {"id": "D1/a", "donor": "D1", "field": "", "reason": "", "dfi": 0.1}
        writer.add(row, Patch(brightfield=np.zeros((1, 16, 16), dtype=np.float32)))
        dataset = writer.finish({}, [], 8)
    with pytest.raises(VsfError, match=r"no fluorescence images.*constant baseline"):
        evaluate(dataset, tmp_path, known_stainer())


def test_a_dataset_built_again_since_training_is_refused(
    tmp_path: Path, dataset: PatchDataset, known_stainer: Make
) -> None:
    stainer = known_stainer()
    stainer.info["dataset_hash"] = "of another dataset"
    with pytest.raises(VsfError, match="has changed since this run was trained on it; train again"):
        evaluate(dataset, tmp_path, stainer)
