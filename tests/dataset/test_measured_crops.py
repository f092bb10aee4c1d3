"""Crops with measured values and no fluorescence: joined on idx, and every mistake named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vsframework import UsageError, VsfError
from vsframework.config import parse_experiment
from vsframework.dataset import PatchDataset, build

HEADER = ",DFI,bad,good,sample,zimg_name\n"


def study(root: Path, table: str, *names: str) -> PatchDataset:
    for number, name in enumerate(names):
        cv2.imwrite(str(root / name), np.full((20, 20), 10 * number, np.uint8))
    (root / "DFIs.csv").write_text(HEADER + table)
    tables = {"data": {"root": ".", "layout": "mccallum-crops"}, "patches": {"size": 16}}
    return build(parse_experiment(tables, "crops"), root, root / "run" / "dataset")


def test_rows_are_joined_by_idx_and_not_by_the_order_of_names(tmp_path: Path) -> None:
    table = "2,0.2,20,80,S1,BF000\n10,0.1,10,90,S1,BF000\n"
    dataset = study(tmp_path, table, "img10_S1_BF000_DFI_1000.png", "img2_S1_BF000_DFI_2000.png")
    assert dict(zip(dataset.cells["id"], dataset.cells["dfi"], strict=True)) == {
        "S1/BF000/img2": 0.2,
        "S1/BF000/img10": 0.1,
    }
    assert dataset.denoised is None


def test_a_file_whose_name_and_row_disagree_is_rejected_and_the_others_go_on(tmp_path: Path) -> None:
    table = "0,0.2,20,80,S1,BF000\n1,0.1,10,90,S2,BF000\n"
    names = ("img000_S1_BF000_DFI_2000.png", "img001_S1_BF000_DFI_1000.png", "img007_S1_BF000_DFI_1000.png")
    cells = study(tmp_path, table, *names).cells.set_index("id")
    assert cells["accepted"].tolist() == [True, False, False]
    assert "disagree on cell 1: S2" in cells.loc["S1/BF000/img001", "reason"]
    assert "not in the table" in cells.loc["S1/BF000/img007", "reason"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("0,0.2,20,80,S1,BF000\n0,0.2,20,80,S1,BF000\n", "has the cell 0 twice"),
        ("0,n/k,20,80,S1,BF000\n", "something else than numbers in DFI"),
        ("0,0.5,20,80,S1,BF000\n", r"DFI is not bad / \(good \+ bad\) for cell 0"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(tmp_path: Path, table: str, sentence: str) -> None:
    with pytest.raises(VsfError, match=sentence):
        study(tmp_path, table, "img000_S1_BF000_DFI_2000.png")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is named like img000"):
        study(tmp_path, "")
    (tmp_path / "DFIs.csv").unlink()
    tables = {"data": {"root": ".", "layout": "mccallum-crops"}}
    with pytest.raises(UsageError, match="no table of measured values"):
        build(parse_experiment(tables, "crops"), tmp_path, tmp_path / "out")
