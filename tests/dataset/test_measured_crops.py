"""Crops with measured values and no fluorescence: joined on idx, and every mistake named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vsframework import UsageError, VsfError
from vsframework.cli import main
from vsframework.config import parse_experiment
from vsframework.dataset import PatchDataset, build

HEADER = ",DFI,bad,good,sample,zimg_name\n"


def lay_out(root: Path, table: str, *names: str) -> None:
    for number, name in enumerate(names):
        pixels = 10 * number + np.arange(400, dtype=np.uint8).reshape(20, 20) % 7
        cv2.imwrite(str(root / name), pixels)
    (root / "DFIs.csv").write_text(HEADER + table)


def study(root: Path, table: str, *names: str) -> PatchDataset:
    lay_out(root, table, *names)
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


def test_a_second_crop_of_a_cell_is_rejected(tmp_path: Path) -> None:
    table = "1,0.1,10,90,S1,BF000\n"
    dataset = study(tmp_path, table, "img001_S1_BF000_DFI_1000.png", "img1_S1_BF000_DFI_1000.png")
    assert dataset.cells["accepted"].tolist() == [True, False]
    assert dataset.cells["reason"][1] == "img001_S1_BF000_DFI_1000.png shows the same cell 1: keep one of them"


def check(root: Path, monkeypatch: Any, capsys: Any, *options: str) -> tuple[int, str]:
    (root / "e.toml").write_text('[data]\nroot = "."\nlayout = "mccallum-crops"\n')
    monkeypatch.setattr("sys.argv", ["vsf", "dataset", "build", str(root / "e.toml"), "--check", *options])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out + said.err


def test_the_check_finds_what_a_build_would_reject_and_what_looks_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{index},0.2,20,80,S{1 + index // 4},BF000\n" for index in range(8)]
    names = [f"img{index:03d}_S{1 + index // 4}_BF000_DFI_2000.png" for index in range(7)]
    lay_out(tmp_path, "".join(rows), *names, "img001_S1_BF000_DFI_9999.png", "overview.png")
    (tmp_path / names[2]).write_bytes((tmp_path / names[2]).read_bytes()[:60])
    cv2.imwrite(str(tmp_path / names[3]), np.full((20, 20), 9, np.uint8))
    cv2.imwrite(str(tmp_path / names[4]), np.arange(600, dtype=np.uint8).reshape(20, 30))
    (tmp_path / names[5]).write_bytes((tmp_path / names[6]).read_bytes())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    code, said = check(tmp_path, monkeypatch, capsys, "--json")
    record = json.loads(said)
    assert (code, record["kind"], record["buildable"]) == (0, "crops", 6)
    told = {crop["files"]["BF"]: crop["problems"] + crop["suspicions"] for crop in record["fields"]}
    assert told[names[0]] == told[names[1]] == []
    assert "file name and table disagree on cell 1" in told["img001_S1_BF000_DFI_9999.png"][0]
    assert "truncated or damaged PNG" in told[names[2]][0]
    assert told[names[3]] == ["BF is blank: every pixel is 9"]
    assert told[names[4]][0] == "it is 30x20 px, not square: it will be squeezed into a square patch"
    assert told[names[5]] == ["one of its images is also S2/BF000/img006 BF"]
    assert record["suspicions"][0] == "DFIs.csv has values of 1 cells without a crop (7)"
    assert "1 of 6 crops are saturated" in record["suspicions"][1]
    assert record["unused"] == ["overview.png"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before | {
        tmp_path / "e.toml": (tmp_path / "e.toml").stat().st_mtime_ns
    }
    code, said = check(tmp_path, monkeypatch, capsys)
    assert "donor                  crops    good  channels of the first" in said
    assert "6 of 8 crops can be built" in said


def test_a_check_of_crops_of_which_none_can_be_built_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path, "0,0.2,20,80,S1,BF000\n", "img000_S2_BF000_DFI_2000.png")
    code, said = check(tmp_path, monkeypatch, capsys)
    assert code == 1
    assert "none of the 1 crops could be built" in said
