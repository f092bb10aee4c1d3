"""Finding nuclei by their stain: on drawn nuclei, simulated dsDNA, and the real stains of the study."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vsf_plugins.detectors.nuclei import COMPONENT, Nuclei, NucleiParams
from vsframework.errors import VsfError
from vsframework.images import read_image
from vsframework.interfaces import Detection
from vsframework.simulation import SimulationOptions
from vsframework.simulation.study import simulate_study_field

DETECTOR = Nuclei(NucleiParams())


def drawn(*nuclei: tuple[float, float, float], size: float = 1.0) -> npt.NDArray[np.float32]:
    """A dark field with nuclei at x, y, angle: brighter at the tail's end, with a fainter tail of 10 px."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:600, :800]
    field = np.full((600, 800), 3.0)
    for x, y, angle in nuclei:
        along = ((columns - x) * math.cos(angle) + (rows - y) * math.sin(angle)) / size
        across = (-(columns - x) * math.sin(angle) + (rows - y) * math.cos(angle)) / size
        inside = np.hypot(along / 50, across / 33) <= 1
        field = np.maximum(field, np.where(inside, 90 - 0.8 * along, 0))
        field = np.maximum(field, np.where((np.abs(across) < 5) & (along < -40) & (along > -200), 20, 0))
    return (cv2.GaussianBlur(field, (0, 0), 2) + rng.normal(0, 0.6, field.shape)).astype(np.float32)


def turn(angle: float, other: float) -> float:
    """The angle between two directions in degrees, 0 to 180."""
    return abs(math.degrees(math.remainder(angle - other, 2 * math.pi)))


def nearest(cells: list[Detection], x: float, y: float) -> Detection:
    return min(cells, key=lambda cell: math.hypot(cell.x - x, cell.y - y))


@pytest.mark.parametrize("angle", np.linspace(-3.0, 3.0, 5))
def test_finds_a_drawn_nucleus_and_its_tip(angle: float) -> None:
    (cell,) = DETECTOR.detect(drawn((401.5, 298.0, angle)))
    assert math.hypot(cell.x - 401.5, cell.y - 298.0) < 3
    assert turn(cell.angle, angle) < 4
    assert cell.length == pytest.approx(100, abs=12)
    assert 0.7 < cell.score <= 1


def test_touching_nuclei_come_apart_and_specks_are_none() -> None:
    field = drawn((300, 300, 1.4), (375, 310, -1.7), (600, 200, 0.2))
    cv2.circle(field, (100, 500), 9, 120.0, -1)
    cells = list(DETECTOR.detect(field))
    assert len(cells) == 3
    for x, y, angle in ((300, 300, 1.4), (375, 310, -1.7), (600, 200, 0.2)):
        cell = nearest(cells, x, y)
        assert math.hypot(cell.x - x, cell.y - y) < 6
        assert turn(cell.angle, angle) < 12
    assert [cell.score for cell in cells] == sorted((cell.score for cell in cells), reverse=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_units_of_the_camera_do_not_matter(dtype: type[np.generic]) -> None:
    counts = drawn((400, 300, 1.0)).round().clip(0, 255)
    (cell,) = DETECTOR.detect((counts * (257 if dtype is np.uint16 else 1)).astype(dtype))
    assert math.hypot(cell.x - 400, cell.y - 300) < 3
    assert turn(cell.angle, 1.0) < 4


def test_other_magnifications_are_parameters() -> None:
    detector = COMPONENT.create({"length": 50})
    (cell,) = detector.detect(drawn((400, 300, 0.7), size=0.5))
    assert math.hypot(cell.x - 400, cell.y - 300) < 3
    assert cell.length == pytest.approx(50, abs=6)


def test_a_nucleus_cut_by_the_border_is_left_out() -> None:
    assert list(DETECTOR.detect(drawn((20, 300, 0.0)))) == []


def test_noise_and_a_slope_are_no_nuclei() -> None:
    noise = np.random.default_rng(1).normal(5, 0.6, (600, 800))
    assert list(DETECTOR.detect(noise.clip(0).round().astype(np.uint8))) == []
    assert list(DETECTOR.detect((noise + np.linspace(0, 30, 800)).astype(np.float32))) == []


def test_a_colour_image_or_nan_is_refused() -> None:
    with pytest.raises(VsfError, match="one plane"):
        DETECTOR.detect(np.zeros((300, 300, 3), np.uint8))
    with pytest.raises(VsfError, match="NaN"):
        DETECTOR.detect(np.full((300, 300), np.nan))


def test_simulated_nuclei_are_found_in_dsdna() -> None:
    true = right = found = 0
    turns: list[float] = []
    for donor in range(3):
        field = simulate_study_field(SimulationOptions(seed=6, width=1280, height=900, cells_per_field=8), donor, 0)
        left = list(DETECTOR.detect(field.dsdna))
        true, found = true + len(field.cells), found + len(left)
        for cell in field.cells:
            x, y = (field.to_dsdna @ [cell.x, cell.y, 1])[:2]
            near = [one for one in left if math.hypot(one.x - x, one.y - y) < cell.length / 4]
            if near:
                left.remove(near[0])
                right += 1
                turns.append(turn(near[0].angle, cell.angle))
    print(f"{right} of {true}, {found - right} false, median {np.median(turns):.1f} degrees")
    assert right / true >= 0.95
    assert right / found >= 0.95
    assert np.median(turns) < 5
    assert np.mean(np.array(turns) > 90) <= 0.05


@pytest.mark.realdata
@pytest.mark.parametrize("stain", ["Green0.tif", "Red0.tif"])
def test_the_four_nuclei_of_the_real_field_and_nothing_else(real_data: Path, stain: str) -> None:
    folder = real_data / "mccallum2019_field"
    cells = list(DETECTOR.detect(read_image(folder / stain).pixels[0]))
    assert len(cells) == 4
    for index in range(4):
        to_field = np.linalg.inv(np.loadtxt(folder / "cells" / f"img{index:03d}_field_to_crop.txt"))
        x, y, _ = to_field @ [74.5, 74.5, 1]
        cell = nearest(cells, x, y)
        # a nucleus is not the whole head, and the stain is another exposure, up to 6 px away
        assert math.hypot(cell.x - x, cell.y - y) < 15
        assert turn(cell.angle, math.atan2(to_field[1, 0], to_field[0, 0])) < 30
