"""How alike virtual and true stains are, pixel by pixel: on linear counts, with the range stated."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import pearsonr
from skimage import metrics

from vsframework.evaluation.results import PixelDonor, PixelResult

METRICS = ("mae", "psnr", "ssim", "pearson")
WANG: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
"""The window of the paper that defined SSIM (Wang et al. 2004)."""


def pixel_columns(
    true: npt.NDArray[np.float32], virtual: npt.NDArray[np.float32], stains: Sequence[str], ranges: Sequence[float]
) -> dict[str, list[float]]:
    """Compare `virtual` with `true` [N, C, H, W], counts, cell by cell.

    Parameters
    ----------
    stains, ranges
        Per channel its name and its data range in counts, which PSNR and SSIM are relative to.

    Returns
    -------
    dict
        ``<metric>_pixels_<stain>`` to one value per cell. MAE in counts; PSNR in dB, NaN where not one pixel differs;
        SSIM with the Gaussian window of Wang et al. 2004 (sigma 1.5 px); Pearson's correlation of the pixels, NaN
        where either image is flat.
    """
    columns: dict[str, list[float]] = {}
    for channel, (stain, data_range) in enumerate(zip(stains, ranges, strict=True)):
        for metric in METRICS:
            columns[f"{metric}_pixels_{stain}"] = []
        for cell in range(len(true)):
            one, other = true[cell, channel].astype(np.float64), virtual[cell, channel].astype(np.float64)
            for metric, value in zip(METRICS, _compared(one, other, data_range), strict=True):
                columns[f"{metric}_pixels_{stain}"].append(value)
    return columns


def pixel_result(cells: pd.DataFrame, stain: str, data_range: float, held_out: Collection[str]) -> PixelResult:
    """Average the columns of `pixel_columns` per donor, and over the held-out donors (each counts the same)."""
    rows = [
        PixelDonor(
            donor=str(donor),
            held_out=donor in held_out,
            **{metric: _mean(group[f"{metric}_pixels_{stain}"]) for metric in METRICS},
        )
        for donor, group in cells.groupby("donor", sort=True)
    ]
    unseen = [row for row in rows if row.held_out]
    means = {metric: _mean(pd.Series([getattr(row, metric) for row in unseen], dtype=float)) for metric in METRICS}
    return PixelResult(stain=stain, data_range=data_range, donors=tuple(rows), **means)


def _compared(
    true: npt.NDArray[np.float64], virtual: npt.NDArray[np.float64], data_range: float
) -> tuple[float, float, float, float]:
    error = float(np.abs(true - virtual).mean())
    psnr = float("nan")
    if error > 0:
        psnr = float(metrics.peak_signal_noise_ratio(true, virtual, data_range=data_range))  # type: ignore[no-untyped-call]
    ssim = float(metrics.structural_similarity(true, virtual, data_range=data_range, **WANG))  # type: ignore[no-untyped-call]
    varies = np.ptp(true) > 0 and np.ptp(virtual) > 0
    pearson = float(pearsonr(true.ravel(), virtual.ravel()).statistic) if varies else float("nan")
    return error, psnr, ssim, pearson


def _mean(values: pd.Series[float]) -> float:
    """Mean of what exists; NaN where nothing does."""
    return float(values.mean())
