"""The builder on the real images of McCallum et al. 2019: a field with four cells, 1064 crops with measured DFI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vsframework.config import parse_experiment
from vsframework.dataset import PatchDataset, build
from vsframework.dataset.checking import check_study

pytestmark = pytest.mark.realdata

CORNERS = np.array([[0, 0, 1], [149, 0, 1], [0, 149, 1], [149, 149, 1]]).T


@pytest.fixture(scope="module")
def real_field(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real field laid out as a study: S1/BF0_<channel>.*, and its four crops."""
    source = real_data / "mccallum2019_field"
    root = tmp_path_factory.mktemp("study")
    (root / "S1" / "crops").mkdir(parents=True)
    for name, target in (
        ("brightfield_composite.png", "BF0_BF.png"),
        ("Green0.tif", "BF0_dsDNA.tif"),
        ("Red0.tif", "BF0_ssDNA.tif"),
    ):
        shutil.copy(source / name, root / "S1" / target)
    for number in range(4):
        shutil.copy(
            source / "cells" / f"img00{number}_brightfield.jpg", root / "S1" / "crops" / f"BF0_img00{number}.jpg"
        )
    return root


def build_real(root: Path, out: Path, denoiser: str, size: int) -> PatchDataset:
    tables = {
        "data": {"root": ".", "pattern": "{donor}/{field}_{channel}.*", "crops": "{donor}/crops/{field}_{cell}.*"},
        "patches": {"size": size},
        "registrar": {"name": "sift-ransac", "model": "similarity"},
        "denoiser": denoiser,
    }
    return build(parse_experiment(tables, "real field"), root, out)


@pytest.mark.parametrize("size", [150, 256])
def test_all_four_cells_are_localised_and_their_dfi_is_the_measured_one(
    real_field: Path, real_data: Path, tmp_path: Path, size: int, record_property: pytest.RecordProperty
) -> None:
    dataset = build_real(real_field, tmp_path / "dataset", "mccallum-histogram", size)
    measured = pd.read_csv(real_data / "mccallum2019_field" / "DFIs.csv", index_col=0)["DFI"].to_numpy()
    cells = dataset.accepted()
    assert len(cells) == 4, list(dataset.cells["reason"])
    errors = [corner_error(cell, real_data, number) for number, (_, cell) in enumerate(cells.iterrows())]
    deviations = np.abs(cells["dfi"].to_numpy() / measured - 1)
    record_property("corner error (px)", errors)
    record_property("relative deviation of the DFI", deviations.tolist())
    assert max(errors) < 0.3
    assert deviations.max() < 0.02


def test_the_papers_own_rule_is_reported_beside_it(
    real_field: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No figure is demanded: the paper prints none for these cells. The rule must run and record its background."""
    dataset = build_real(real_field, tmp_path / "dataset", "histogram-mode", 256)
    cells = dataset.cells
    with capsys.disabled():
        print("\npaper's rule on the four real cells:")
        print(cells[["id", "background_dsDNA", "background_ssDNA", "dfi", "accepted", "reason"]].to_string(index=False))
    assert np.isfinite(cells["background_dsDNA"]).all()


def corner_error(cell: pd.Series, real_data: Path, number: int) -> float:
    """Mean distance of the crop's corners in the field from where the known homography puts them, in pixels."""
    found = np.array([cell[f"m{row}{column}"] for row in range(3) for column in range(3)], dtype=float).reshape(3, 3)
    known = np.loadtxt(real_data / "mccallum2019_field" / "cells" / f"img00{number}_field_to_crop.txt")
    places = [matrix[:2] / matrix[2] for matrix in (np.linalg.inv(found) @ CORNERS, np.linalg.inv(known) @ CORNERS)]
    return float(np.hypot(*(places[0] - places[1])).mean())


def test_crops_are_joined_with_their_labels_and_the_constant_baseline_is_printed(
    real_data: Path, tmp_path: Path
) -> None:
    tables = {
        "data": {"root": str(real_data / "mccallum2019_crops"), "layout": "mccallum-crops"},
        "patches": {"size": 32},
    }
    dataset = build(parse_experiment(tables, "real crops"), tmp_path, tmp_path / "dataset")
    cells = dataset.cells
    assert len(cells) == len(dataset.accepted()) == 1064
    named = cells["id"].str.extract(r"img(\d+)$")[0].astype(int)
    labels = pd.read_csv(real_data / "mccallum2019_crops" / "DFIs.csv", index_col=0)
    np.testing.assert_allclose(cells["dfi"], labels.loc[named, "DFI"])
    by_name = pd.Series(sorted(path.name for path in (real_data / "mccallum2019_crops").glob("*.jpg")))
    written = by_name.str.extract(r"_DFI_(\d+)")[0].astype(int).to_numpy()
    zipped = (labels["DFI"] * 1e4).round().to_numpy()
    assert (np.abs(written - zipped) > 1).sum() > 900  # the trap: rows in the order of the names

    code = "from vsframework.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "evaluate", str(tmp_path / "dataset")], capture_output=True, text=True, check=True
    )
    rows = dict(re.findall(r"^(S\d|mean) .* (0\.\d{4})  0\.\d{3}$", done.stdout, re.MULTILINE))
    errors = [rows[name] for name in ("S1", "S2", "S3", "S4", "S5", "S6", "mean")]
    assert errors == ["0.0158", "0.0167", "0.0275", "0.0286", "0.0441", "0.0298", "0.0271"]


def test_the_layout_mccallum_takes_the_folder_as_it_was_published(real_data: Path, tmp_path: Path) -> None:
    tables = {
        "data": {"root": str(real_data / "mccallum2019_field"), "layout": "mccallum"},
        "patches": {"size": 150},
        "registrar": {"name": "sift-ransac", "model": "similarity"},
        "denoiser": "mccallum-histogram",
    }
    experiment = parse_experiment(tables, "real field")
    check = check_study(experiment, tmp_path)
    assert [(item.id, item.crops, item.problems, item.suspicions) for item in check.fields] == [
        ("unknown/0", 4, [], [])
    ]
    assert check.suspicions == []
    cells = build(experiment, tmp_path, tmp_path / "dataset").accepted()
    measured = pd.read_csv(real_data / "mccallum2019_field" / "DFIs.csv", index_col=0)["DFI"].to_numpy()
    assert len(cells) == 4
    assert np.median(cells["dfi"]) == pytest.approx(np.median(measured), abs=0.01)
