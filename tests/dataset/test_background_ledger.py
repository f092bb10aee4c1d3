"""The ledger of the background: standard errors that hold, and what a count does to the quantity."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from vsf_plugins.denoisers.rolling_ball import RollingBall
from vsf_plugins.quantifiers.dfi import Dfi, DfiParams
from vsframework.cli import vsf
from vsframework.config import load_experiment
from vsframework.dataset import PatchDataset, build
from vsframework.dataset.background import background_ledger, per_count, standard_error
from vsframework.errors import UsageError

SIDE = 100


@pytest.fixture(scope="module")
def dataset(study: Path, tmp_path_factory: pytest.TempPathFactory) -> PatchDataset:
    experiment = load_experiment(study / "experiment.toml", ("patches.size=100", "denoiser=histogram-mode"))
    return build(experiment, study, tmp_path_factory.mktemp("built") / "dataset")


def cloudy(seed: int, cloud: int) -> np.ndarray:
    """Noise of standard deviation 1 in squares of `cloud` pixels that are all alike, in a random place."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1, (SIDE // cloud + 2, SIDE // cloud + 2))
    fine = np.repeat(np.repeat(coarse, cloud, axis=0), cloud, axis=1)
    top, left = rng.integers(0, cloud, 2)
    return fine[top : top + SIDE, left : left + SIDE]


@pytest.mark.parametrize(("cloud", "least", "most"), [(1, 0.85, 1.15), (3, 0.75, 1.15)])
def test_the_standard_error_is_how_much_the_mean_varies(cloud: int, least: float, most: float) -> None:
    """Clouds that cross the blocks' edges make it a little too small, never as wrong as counting pixels."""
    mask = np.random.default_rng(9).random((SIDE, SIDE)) < 0.7
    images = [cloudy(seed, cloud) for seed in range(150)]
    varies = np.std([image[mask].mean() for image in images])
    said = np.mean([standard_error(image, mask) for image in images])
    assert least < said / varies < most
    if cloud > 1:
        counted = 1 / np.sqrt(mask.sum())
        assert counted < 0.5 * varies


def test_pixels_in_one_block_tell_no_standard_error() -> None:
    mask = np.zeros((SIDE, SIDE), dtype=np.bool_)
    assert np.isnan(standard_error(np.zeros((SIDE, SIDE)), mask))
    mask[3:6, 3:6] = True
    assert np.isnan(standard_error(np.zeros((SIDE, SIDE)), mask))
    mask[50, 50] = True
    assert standard_error(np.zeros((SIDE, SIDE)), mask) == 0


def test_a_count_moves_the_dfi_as_its_derivative_says() -> None:
    stains = np.zeros((2, 150, 150))
    stains[0, 40:110, 30:120], stains[1, 40:110, 30:120] = 70, 11
    green, red = stains.sum(axis=(1, 2))
    changes = per_count(stains, Dfi(DfiParams()), ["dsDNA", "ssDNA"])
    derivative = np.array([-red, green]) / (green + red) ** 2 * 150**2
    np.testing.assert_allclose(changes, derivative, rtol=0.01)


def test_every_cell_has_a_level_by_every_rule(dataset: PatchDataset) -> None:
    ledger = background_ledger(dataset)
    accepted = dataset.accepted()
    rules = list(ledger.levels["rule"].unique())
    assert ledger.used == rules[0] == "histogram-mode"
    assert {"border-median", "sigma-clip", "rolling-ball", "local-plane", "mccallum-histogram"} < set(rules)
    assert "none" not in rules  # removes nothing, so it has no opinion
    assert len(ledger.levels) == len(accepted) * len(rules) * 2
    assert list(ledger.cells["id"]) == list(accepted["id"])
    for stain in dataset.stains:
        levels = ledger.levels[ledger.levels["stain"] == stain].pivot_table(index="id", columns="rule", values="level")
        cells = ledger.cells.set_index("id").loc[levels.index]
        np.testing.assert_allclose(cells[f"level_{stain}"], accepted.set_index("id")[f"background_{stain}"], rtol=1e-6)
        np.testing.assert_allclose(cells[f"spread_{stain}"], levels.max(axis=1) - levels.min(axis=1))
    cells = ledger.cells
    np.testing.assert_allclose(cells["dfi"], accepted["dfi"], rtol=1e-5)
    assert (cells["low"] <= cells["dfi"]).all()
    assert (cells["dfi"] <= cells["high"]).all()
    assert (cells["per_count_ssDNA"] > 0).all()
    assert (cells["per_count_dsDNA"] < 0).all()
    parts = [(cells[f"per_count_{stain}"] * cells[f"standard_error_{stain}"]) ** 2 for stain in dataset.stains]
    np.testing.assert_allclose(cells["uncertainty"], np.sqrt(sum(parts)))
    assert cells["uncertainty"].between(1e-6, 0.02).all()


def test_a_rule_that_refuses_is_named_and_the_others_stay(
    dataset: PatchDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    bright = np.asarray(dataset.raw[:]) + 40  # type: ignore[index]
    monkeypatch.setattr(dataset, "raw", bright)
    ledger = background_ledger(dataset, ["mccallum-histogram", "border-median"])
    refused = ledger.levels[ledger.levels["rule"] == "mccallum-histogram"]
    assert refused["level"].isna().all()
    assert refused["reason"].str.contains("no background below 10 counts").all()
    assert ledger.levels.loc[ledger.levels["rule"] == "border-median", "level"].gt(39).all()
    assert ledger.summary()["refused"] == {"mccallum-histogram": len(ledger.cells)}


@pytest.mark.parametrize("method", ["__init__", "denoise"])
def test_a_broken_plugin_does_not_take_the_ledger_down(
    dataset: PatchDataset, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no lamp")

    monkeypatch.setattr(RollingBall, method, fail)
    ledger = background_ledger(dataset)
    broken = ledger.levels[ledger.levels["rule"] == "rolling-ball"]
    assert set(broken["reason"]) == {"failed with ValueError: no lamp"}
    assert ledger.levels.loc[ledger.levels["rule"] != "rolling-ball", "level"].notna().all()


def test_the_command_prints_and_writes_what_the_ledger_holds(dataset: PatchDataset, tmp_path: Path) -> None:
    arguments = ["dataset", "background", str(dataset.path), "--rule", "border-median"]
    told = CliRunner().invoke(vsf, [*arguments, "--csv", str(tmp_path / "tables")], catch_exceptions=False)
    assert told.exit_code == 0
    assert "histogram-mode (used)" in told.output
    assert "dfi per count" in told.output
    answer = json.loads(CliRunner().invoke(vsf, [*arguments, "--json"], catch_exceptions=False).stdout)
    written = pd.read_csv(tmp_path / "tables" / "background_cells.csv")
    assert [row["id"] for row in answer["cells"]] == list(written["id"])
    np.testing.assert_allclose([row["uncertainty"] for row in answer["cells"]], written["uncertainty"], rtol=1e-6)
    assert {row["rule"] for row in answer["levels"]} == {"histogram-mode", "border-median"}
    assert set(answer["median_level"]["border-median"]) == {"dsDNA", "ssDNA"}


def test_a_dataset_without_fluorescence_has_no_background(
    dataset: PatchDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "raw", None)
    with pytest.raises(UsageError, match="no fluorescence images"):
        background_ledger(dataset)


def test_an_unknown_rule_is_refused_with_the_closest_name(dataset: PatchDataset) -> None:
    with pytest.raises(UsageError, match="border-median"):
        background_ledger(dataset, ["border-medain"])
