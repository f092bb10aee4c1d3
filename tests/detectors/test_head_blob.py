"""Finding heads: on drawn cells, simulated fields, and the real field of the study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from vsf_plugins.detectors.head_blob import COMPONENT, HeadBlob, HeadBlobParams
from vsframework.errors import VsfError
from vsframework.images import read_image
from vsframework.interfaces import Detection
from vsframework.simulation import SimulationOptions, simulate

DETECTOR = HeadBlob(HeadBlobParams())


def draw_cell(field: npt.NDArray[np.float32], x: float, y: float, angle: float, size: float = 1.0) -> None:
    """Draw a dark head with a bright halo and a tail, into `field`; `angle` points from tail to tip."""
    rows, columns = np.mgrid[: field.shape[0], : field.shape[1]]
    along = ((columns - x) * math.cos(angle) + (rows - y) * math.sin(angle)) / size
    across = (-(columns - x) * math.sin(angle) + (rows - y) * math.cos(angle)) / size
    radius = np.hypot(along / 50, across / 33)
    tail = (np.abs(across) < 6) & (along < -50) & (along > -300)
    field[tail] -= 30
    field[(radius > 1) & (radius < 1.22)] += 60
    field[radius <= 1] -= 40
    field[(radius <= 1) & (along < 0)] -= 15


def noisy_field(seed: int = 0, shape: tuple[int, int] = (600, 800)) -> npt.NDArray[np.float32]:
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 6, shape), (0, 0), 1.5)
    return (120 + grain).astype(np.float32)


def turn(angle: float, other: float) -> float:
    """The angle between two directions in degrees, 0 to 180."""
    return abs(math.degrees(math.remainder(angle - other, 2 * math.pi)))


def nearest(cells: Sequence[Detection], x: float, y: float) -> Detection:
    return min(cells, key=lambda cell: math.hypot(cell.x - x, cell.y - y))


@pytest.mark.parametrize("angle", np.linspace(-3.0, 3.0, 7))
def test_finds_a_drawn_head_and_its_tip(angle: float) -> None:
    field = noisy_field()
    draw_cell(field, 401.5, 298.0, angle)
    (cell,) = DETECTOR.detect(field)
    assert math.hypot(cell.x - 401.5, cell.y - 298.0) < 2
    assert turn(cell.angle, angle) < 4
    assert cell.length == pytest.approx(100, abs=12)
    assert 0.7 < cell.score <= 1
    assert -math.pi < cell.angle <= math.pi


def test_finds_every_head_and_no_debris() -> None:
    field = noisy_field(1, (900, 1200))
    truth = [(200, 300, 0.4), (700, 250, 2.5), (950, 650, -1.2)]
    for x, y, angle in truth:
        draw_cell(field, x, y, angle)
    for x, y, radius in ((450, 600, 12), (300, 700, 20), (1100, 150, 8)):
        cv2.circle(field, (x, y), radius, 60.0, -1)
    cv2.line(field, (0, 850), (1199, 800), 90.0, 12)
    cells = DETECTOR.detect(field)
    assert len(cells) == len(truth)
    assert [cell.score for cell in cells] == sorted((cell.score for cell in cells), reverse=True)
    for x, y, angle in truth:
        cell = nearest(cells, x, y)
        assert math.hypot(cell.x - x, cell.y - y) < 3
        assert turn(cell.angle, angle) < 6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_units_of_the_camera_do_not_matter(dtype: type[np.generic]) -> None:
    field = noisy_field(2)
    draw_cell(field, 400, 300, 1.0)
    counts = field.clip(0, 255).round()
    expected = DETECTOR.detect(counts.astype(np.uint8))
    assert len(expected) == 1
    scaled = counts * (257 if dtype is np.uint16 else 1)
    (cell,) = DETECTOR.detect(scaled.astype(dtype))
    assert math.hypot(cell.x - expected[0].x, cell.y - expected[0].y) < 0.5
    assert turn(cell.angle, expected[0].angle) < 2


def test_other_magnifications_are_parameters() -> None:
    field = noisy_field(3)
    draw_cell(field, 400, 300, 0.7, size=0.5)
    detector = COMPONENT.create({"head_length": 50})
    (cell,) = detector.detect(field)
    assert math.hypot(cell.x - 400, cell.y - 300) < 2
    assert cell.length == pytest.approx(50, abs=8)


def test_the_same_field_gives_the_same_cells() -> None:
    field = noisy_field(4)
    draw_cell(field, 300, 300, -2.0)
    assert DETECTOR.detect(field) == DETECTOR.detect(field.copy())


@pytest.mark.parametrize(
    "field",
    [np.zeros((600, 800), np.uint8), np.full((600, 800), 40_000, np.uint16), np.zeros((20, 30)), np.zeros((0, 0))],
    ids=["black", "flat", "smaller than a head", "empty"],
)
def test_a_blank_field_has_no_cells(field: npt.NDArray[np.generic]) -> None:
    assert list(DETECTOR.detect(field)) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_of_tail_is_no_head(seed: int) -> None:
    field = noisy_field(seed)
    for width, step in ((22, 50.0), (8, -90.0)):  # a bright halo on both sides of a dark line
        stroke = np.zeros(field.shape, np.uint8)
        cv2.ellipse(stroke, (400, 300), (50, 35), 20.0 * seed, 0, 360, 1, width)
        field += step * cv2.GaussianBlur(stroke.astype(np.float32), (0, 0), 1.5)
    assert list(DETECTOR.detect(field)) == []


def test_uneven_light_changes_nothing() -> None:
    field = noisy_field(6, (900, 1200))
    truth = [(200, 300, 0.4), (600, 450, 2.5), (1000, 650, -1.2)]
    for x, y, angle in truth:
        draw_cell(field, x, y, angle)
    cells = DETECTOR.detect(field * np.linspace(1.4, 0.4, 1200, dtype=np.float32))
    assert len(cells) == len(truth)
    for x, y, angle in truth:
        cell = nearest(cells, x, y)
        assert math.hypot(cell.x - x, cell.y - y) < 3
        assert turn(cell.angle, angle) < 6


def test_heads_side_by_side_come_apart() -> None:
    field = noisy_field(7)
    truth = [(350, 300, 0.6), (397, 232, 0.7)]  # their halos overlap
    for x, y, angle in truth:
        draw_cell(field, x, y, angle)
    cells = DETECTOR.detect(field)
    assert len(cells) == len(truth)
    for x, y, angle in truth:
        assert turn(nearest(cells, x, y).angle, angle) < 10


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_cell(seed: int) -> None:
    assert list(DETECTOR.detect(noisy_field(seed))) == []


def test_a_head_cut_by_the_border_is_left_out() -> None:
    field = noisy_field(5)
    draw_cell(field, 20, 300, math.pi)
    assert list(DETECTOR.detect(field)) == []


def test_a_colour_image_or_nan_is_refused() -> None:
    with pytest.raises(VsfError, match="one brightfield plane"):
        DETECTOR.detect(np.zeros((300, 300, 3), np.uint8))
    with pytest.raises(VsfError, match="NaN"):
        DETECTOR.detect(np.full((300, 300), np.nan))


def test_simulated_fields_are_found_to_the_floor(tmp_path: Path) -> None:
    study = simulate(
        tmp_path / "study", SimulationOptions(donors=2, fields=1, cells_per_field=8, seed=5, width=1280, height=800)
    )
    truth = pd.read_csv(study / "truth.csv")
    found, false, turns, apart = 0, 0, [], []
    for file, cells in truth.groupby("brightfield_file"):
        detections = DETECTOR.detect(read_image(study / str(file)).pixels[0])
        for detection in detections:
            distance = np.hypot(cells.x.to_numpy() - detection.x, cells.y.to_numpy() - detection.y)
            if distance.min() < 25:
                found += 1
                apart.append(distance.min())
                turns.append(turn(detection.angle, float(cells.angle.iloc[int(distance.argmin())])))
            else:
                false += 1
    print(f"{found} of {len(truth)}, {false} false, {np.median(apart):.1f} px, median {np.median(turns):.1f} degrees")
    assert found >= 0.95 * len(truth)
    assert false <= 0.05 * found
    assert np.median(apart) < 4
    assert np.median(turns) < 5
    assert np.mean(np.array(turns) < 30) > 0.95


# ------------------------------------------------------------------------------------------------------ real images


@pytest.mark.realdata
def test_the_four_heads_of_the_real_field_and_nothing_else(real_data: Path) -> None:
    folder = real_data / "mccallum2019_field"
    field = read_image(folder / "brightfield_composite.png").pixels[0]
    cells = DETECTOR.detect(field)
    assert len(cells) == 4
    for index in range(4):
        to_field = np.linalg.inv(np.loadtxt(folder / "cells" / f"img{index:03d}_field_to_crop.txt"))
        x, y, _ = to_field @ [74.5, 74.5, 1]
        angle = math.atan2(to_field[1, 0], to_field[0, 0])  # the tip points to the right of a crop
        cell = nearest(cells, x, y)
        apart, turned = math.hypot(cell.x - x, cell.y - y), turn(cell.angle, angle)
        print(f"cell {index}: {apart:.1f} px, {turned:.1f} degrees")
        assert apart < 8
        assert turned < 8


@pytest.mark.realdata
def test_most_real_crops_hold_one_head_with_the_tip_to_the_right(real_data: Path) -> None:
    crops = sorted((real_data / "mccallum2019_crops").glob("*.jpg"))[1::4]  # the tip's rule was shaped on [::4]
    found, turns = 0, []
    for crop in crops:
        cells = DETECTOR.detect(read_image(crop).pixels[0])
        if len(cells) == 1 and math.hypot(cells[0].x - 74.5, cells[0].y - 74.5) < 20:
            found += 1
            turns.append(turn(cells[0].angle, 0.0))
    right_way = float(np.mean(np.array(turns) < 90))
    summary = f"one head in {found} of {len(crops)}, median {np.median(turns):.1f} degrees"
    print(f"{summary}, tip at the right in {right_way:.0%}")
    assert found >= 0.93 * len(crops)
    assert np.median(turns) < 5
    assert right_way > 0.93
