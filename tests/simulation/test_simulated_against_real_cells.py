"""Simulated cells lie among the real ones, in what can be measured on both."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vsframework.simulation import SimulationOptions
from vsframework.simulation.geometry import compose, invert, warp
from vsframework.simulation.study import simulate_study_field

pytestmark = pytest.mark.realdata

Grey = npt.NDArray[np.uint8]


def grey(path: Path) -> Grey:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return image.astype(np.uint8)


@pytest.fixture(scope="module")
def simulated() -> tuple[list[Grey], npt.NDArray[np.float64]]:
    """Brightfield crops, and per cell the 99th percentile of green and red above the background and both sums."""
    options = SimulationOptions(width=960, height=640, cells_per_field=5, seed=21)
    crops: list[Grey] = []
    stains = []
    for donor in range(8):
        field = simulate_study_field(options, donor, 0)
        for cell, crop in zip(field.cells, field.crops, strict=True):
            crops.append(crop.astype(np.uint8))
            patches = [
                warp(image, compose(field.to_dsdna, invert(cell.crop)), (150, 150)) - offset
                for image, offset in zip((field.dsdna, field.ssdna), field.background, strict=True)
            ]
            stains.append([*(np.percentile(patch, 99) for patch in patches), cell.green_sum, cell.red_sum])
    return crops, np.array(stains)


def look(crop: Grey) -> tuple[float, ...]:
    """Level of the crop; head, front half, halo and darkest rim relative to it; detail at two scales."""
    level = float(np.median(np.concatenate([crop[:20].ravel(), crop[-20:].ravel()])))
    smooth = cv2.GaussianBlur(crop.astype(np.float64), (0, 0), 1.5)
    head = smooth[55:95, 40:110]
    detail = head - cv2.GaussianBlur(smooth, (0, 0), 6)[55:95, 40:110]
    return (
        level,
        float(np.median(smooth[60:90, 35:70])) / level,
        float(np.median(smooth[60:90, 80:110])) / level,
        float(np.percentile(smooth[20:130, 15:135], 97)) / level,
        float(np.percentile(smooth[20:130, 15:135], 3)) / level,
        float(detail.std()) / level,
        float(np.percentile(detail, 99)) / level,
    )


def test_brightfield_crops_look_like_real_ones(simulated: tuple[list[Grey], object], real_data: Path) -> None:
    paths = sorted((real_data / "mccallum2019_crops").rglob("*.jpg"))[::8]
    crops = [grey(path) for path in paths]
    real = np.array([look(crop) for crop in crops if crop.min() > 0])
    ours = np.median([look(crop) for crop in simulated[0] if crop.min() > 0], axis=0)
    low, high = np.percentile(real, (15, 85), axis=0)
    assert np.all((low < ours) & (ours < high)), np.round([low, ours, high], 3)


def test_stains_are_as_bright_as_real_ones(simulated: tuple[object, npt.NDArray[np.float64]], real_data: Path) -> None:
    with (real_data / "mccallum2019_crops" / "DFIs.csv").open(newline="") as file:
        real = np.array([[float(row["good"]), float(row["bad"])] for row in csv.DictReader(file)])
    ours = np.median(simulated[1], axis=0)
    low, high = np.percentile(real, (25, 75), axis=0)
    assert np.all((low < ours[2:]) & (ours[2:] < high))
    peaks = []
    for path in sorted((real_data / "mccallum2019_field" / "cells").glob("*_green.png")):
        images = [grey(path.with_name(path.name.replace("green", stain))) for stain in ("green", "red")]
        peaks.append([np.percentile(image, 99) - np.median(image[:10]) for image in images])
    assert np.all((np.min(peaks, axis=0) * 0.6 < ours[:2]) & (ours[:2] < np.max(peaks, axis=0)))
