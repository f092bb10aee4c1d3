"""The measured DFI of the study's four published cells, from its own fluorescence."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from vsf_plugins.denoisers import histogram_mode, mccallum_histogram
from vsf_plugins.quantifiers.dfi import Dfi, DfiParams
from vsframework.images import read_image
from vsframework.interfaces import Denoiser

pytestmark = pytest.mark.realdata

CELLS = range(4)
SIDE = 150


@pytest.fixture(scope="module")
def study(real_data: Path) -> Path:
    return real_data / "mccallum2019_field"


@pytest.fixture(scope="module")
def measured(study: Path) -> npt.NDArray[np.float64]:
    return pd.read_csv(study / "DFIs.csv")["DFI"].to_numpy(np.float64)


@pytest.fixture(scope="module")
def fields(study: Path) -> list[npt.NDArray[np.generic]]:
    """Green and red, [H, W]; the files hold the same grey plane three times."""
    return [read_image(study / f"{name}0.tif").pixels[0] for name in ("Green", "Red")]


def published_patch(study: Path, cell: int) -> npt.NDArray[np.generic]:
    files = [study / "cells" / f"img{cell:03d}_{stain}.png" for stain in ("green", "red")]
    return np.concatenate([read_image(file).pixels for file in files])


def cut_patch(
    study: Path, fields: list[npt.NDArray[np.generic]], cell: int, dtype: type[np.generic], side: int = SIDE
) -> npt.NDArray[np.generic]:
    """Cut a cell out of the fields, bilinear, as ``vsf dataset build`` does."""
    to_crop = np.loadtxt(study / "cells" / f"img{cell:03d}_field_to_crop.txt")
    enlarge = side / SIDE
    resize = np.array([[enlarge, 0, (enlarge - 1) / 2], [0, enlarge, (enlarge - 1) / 2], [0, 0, 1]])
    return np.stack([cv2.warpPerspective(field.astype(dtype), resize @ to_crop, (side, side)) for field in fields])


def dfi(denoiser: Denoiser, patch: npt.NDArray[np.generic]) -> float:
    stains = denoiser.denoise(patch).stains
    return float(Dfi(DfiParams()).measure(stains, ["dsDNA", "ssDNA"])["dfi"])


def mccallum(**values: float) -> Denoiser:
    return mccallum_histogram.COMPONENT.create(values)


def report(cell: int, study_rule: float, patch: npt.NDArray[np.generic], measured: float) -> None:
    """Print both rules beside the measured DFI; nothing is asserted of the paper's rule, which is another one."""
    paper_rule = dfi(histogram_mode.COMPONENT.create(), patch)
    errors = f"study's rule {study_rule / measured - 1:+.3%}, paper's rule {paper_rule / measured - 1:+.3%}"
    print(f"cell {cell}, {patch.dtype} {patch.shape}: {errors}")


@pytest.mark.parametrize("cell", CELLS)
def test_the_published_patches_give_the_measured_dfi(study: Path, measured: npt.NDArray[np.float64], cell: int) -> None:
    patch = published_patch(study, cell)
    exact, default = dfi(mccallum(ignored_share=0), patch), dfi(mccallum(), patch)
    report(cell, exact, patch, measured[cell])
    assert exact == pytest.approx(measured[cell], rel=1e-3)
    assert default == exact


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("dtype", "side"), [(np.uint8, SIDE), (np.float32, SIDE), (np.float32, 256)])
def test_patches_cut_from_the_fields_give_the_measured_dfi(
    study: Path,
    fields: list[npt.NDArray[np.generic]],
    measured: npt.NDArray[np.float64],
    cell: int,
    dtype: type[np.generic],
    side: int,
) -> None:
    patch = cut_patch(study, fields, cell, dtype, side)
    error = dfi(mccallum(), patch) / measured[cell] - 1
    report(cell, dfi(mccallum(), patch), patch, measured[cell])
    assert abs(error) < 0.02


def test_the_studys_own_rule_loses_a_grey_level_to_one_dark_pixel(
    study: Path, fields: list[npt.NDArray[np.generic]], measured: npt.NDArray[np.float64]
) -> None:
    """Why `ignored_share` is not 0: cut bilinearly, cell 3 has a single black pixel in green."""
    patch = cut_patch(study, fields, 3, np.uint8)
    assert np.count_nonzero(patch[0] == 0) == 1
    assert abs(dfi(mccallum(ignored_share=0), patch) / measured[3] - 1) > 0.05
    assert abs(dfi(mccallum(), patch) / measured[3] - 1) < 0.005
