"""Pixel metrics: what known differences must give, on linear counts and relative to a stated range."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsframework.cli.evaluate import describe
from vsframework.dataset.store import PatchDataset
from vsframework.evaluation import evaluate
from vsframework.evaluation.pixels import pixel_columns
from vsframework.evaluation.results import read_cells

Make = Callable[..., Any]


def test_a_known_offset_gives_its_mae_and_psnr() -> None:
    true = np.random.default_rng(0).uniform(0, 50, (3, 1, 32, 32)).astype(np.float32)
    found = pixel_columns(true, true + 2, ["dsDNA"], [100.0])
    assert found["mae_pixels_dsDNA"] == pytest.approx([2] * 3, abs=1e-5)
    assert found["psnr_pixels_dsDNA"] == pytest.approx([20 * math.log10(100 / 2)] * 3, abs=1e-4)
    assert found["pearson_pixels_dsDNA"] == pytest.approx([1] * 3)
    assert all(0.9 < value < 1 for value in found["ssim_pixels_dsDNA"])


def test_equal_and_flat_images_give_no_infinity() -> None:
    flat = np.full((1, 1, 16, 16), 7, np.float32)
    found = pixel_columns(flat, flat, ["DAPI"], [255.0])
    assert (found["mae_pixels_DAPI"], found["ssim_pixels_DAPI"]) == ([0], [1])
    assert math.isnan(found["psnr_pixels_DAPI"][0])
    assert math.isnan(found["pearson_pixels_DAPI"][0])


def test_they_are_in_the_tables_per_cell_and_per_donor(tmp_path: Path, make_run: Make, known_stainer: Make) -> None:
    run = make_run(tmp_path / "run")
    dataset = PatchDataset.open(run / "dataset")
    result = evaluate(dataset, run, known_stainer(error=0.03))
    assert [pixels.stain for pixels in result.pixels] == ["dsDNA", "ssDNA"]
    assert dataset.denoised is not None
    green = result.pixels[0]
    assert green.data_range == pytest.approx(float(np.asarray(dataset.denoised)[:, 0].max()))
    # 3 counts too dark in the head of 8 x 6 px, 0 elsewhere in a patch of 256 px
    assert green.mae == pytest.approx(3 * 48 / 256, rel=1e-4)
    assert [row.donor for row in green.donors if row.held_out] == ["D1"]
    cells = read_cells(run)
    assert cells["mae_pixels_dsDNA"].to_numpy() == pytest.approx(np.full(21, 3 * 48 / 256), rel=1e-4)
    assert "Pixels of ssDNA on held-out donors: MAE 0.5625 counts" in describe(result)
