"""The detector of the live loop: what it finds, how fast, and that a study can use the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vsf_edge.detectors.heads import Heads
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import Detection
from vsf_edge.plugins import plugins
from vsframework.images import read_image
from vsframework.plugins import registry
from vsframework.simulation import SimulationOptions
from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.study import simulate_study_field
from vsframework.testing.prepared_images import as_camera, brightfield_field

LeastSeconds = Callable[[Callable[[], object]], float]


@cache
def fields(size: int = 0, bit_depth: int = 8) -> tuple[SimulatedField, ...]:
    """Six fields at default crowding, or two of `size` px with ten cells each."""
    options = SimulationOptions(seed=77)
    if size:
        options = SimulationOptions(seed=78, width=size, height=size, cells_per_field=10, bit_depth=bit_depth)
    return tuple(simulate_study_field(options, donor, 0) for donor in range(2 if size else 6))


def turn(angle: float, other: float) -> float:
    """The angle between two directions in degrees, 0 to 180."""
    return abs(math.degrees(math.remainder(angle - other, 2 * math.pi)))


def pairs(found: Sequence[Detection], field: SimulatedField) -> list[tuple[Detection, float]]:
    """Every true head's own detection, within a quarter of its length, and how far that is turned."""
    left, paired = list(found), []
    for cell in field.cells:
        near = [head for head in left if math.hypot(head.x - cell.x, head.y - cell.y) < cell.length / 4]
        if near:
            left.remove(near[0])
            paired.append((near[0], turn(near[0].angle, cell.angle)))
    return paired


def test_simulated_heads_are_found_and_their_tips() -> None:
    heads = Heads()
    true = found = right = 0
    turns: list[float] = []
    for field in fields() + fields(1024):
        detections = heads.detect(field.brightfield)
        paired = pairs(detections, field)
        true, found, right = true + len(field.cells), found + len(detections), right + len(paired)
        turns += [turned for _, turned in paired]
        assert [head.score for head in detections] == sorted((head.score for head in detections), reverse=True)
    flips = np.mean(np.array(turns) > 90)
    print(f"{right} of {true}, {found - right} false, median {np.median(turns):.1f} degrees, {flips:.1%} flipped")
    assert true >= 40
    assert right / true >= 0.95
    assert right / found >= 0.95
    assert np.median(turns) < 5
    assert flips <= 0.03


@pytest.mark.realdata
def test_the_four_heads_of_the_real_field_and_nothing_else(real_data: Path) -> None:
    folder = real_data / "mccallum2019_field"
    heads = Heads().detect(read_image(folder / "brightfield_composite.png").pixels[0])
    assert len(heads) == 4
    for index in range(4):
        to_field = np.linalg.inv(np.loadtxt(folder / "cells" / f"img{index:03d}_field_to_crop.txt"))
        x, y, _ = to_field @ [74.5, 74.5, 1]
        head = min(heads, key=lambda head: math.hypot(head.x - x, head.y - y))
        assert math.hypot(head.x - x, head.y - y) < 8
        assert turn(head.angle, math.atan2(to_field[1, 0], to_field[0, 0])) < 8  # the tip is at the right of a crop


@pytest.mark.realdata
def test_most_real_crops_hold_one_head_with_the_tip_to_the_right(real_data: Path) -> None:
    heads = Heads()
    crops = sorted((real_data / "mccallum2019_crops").glob("*.jpg"))[1::4]  # the tip's rule was shaped on [::4]
    found, turns = 0, []
    for crop in crops:
        inside = heads.detect(read_image(crop).pixels[0])
        if len(inside) == 1 and math.hypot(inside[0].x - 74.5, inside[0].y - 74.5) < 20:
            found += 1
            turns.append(turn(inside[0].angle, 0.0))
    flips = float(np.mean(np.array(turns) > 90))
    print(f"one head in {found} of {len(crops)}, median {np.median(turns):.1f} degrees, {flips:.1%} flipped")
    assert found >= 0.93 * len(crops)
    assert np.median(turns) < 5
    assert flips < 0.04


@pytest.mark.parametrize(("size", "bit_depth"), [(1024, 8), (2048, 16)])
def test_a_frame_takes_milliseconds(size: int, bit_depth: int, least_cpu_seconds: LeastSeconds) -> None:
    frame, heads = fields(size, bit_depth)[0].brightfield, Heads()
    took = least_cpu_seconds(lambda: heads.detect(frame))
    print(f"{size} px: {1000 * took:.1f} ms")
    assert took < (0.006 if size == 1024 else 0.015)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int32"])
def test_units_of_the_camera_do_not_matter(dtype: str) -> None:
    frame = fields()[0].brightfield
    wide = frame.astype(dtype) * np.asarray(1 if dtype == "uint8" else 100, dtype=dtype)
    kept = wide.copy()
    heads, expected = Heads().detect(wide), Heads().detect(frame)
    assert len(heads) == len(expected) > 0
    for head, other in zip(
        sorted(heads, key=lambda each: each.x), sorted(expected, key=lambda each: each.x), strict=True
    ):
        assert math.hypot(head.x - other.x, head.y - other.y) < 1.5
        assert turn(head.angle, other.angle) < 3
    np.testing.assert_array_equal(wide, kept)


@pytest.mark.parametrize("scale", [0.3, 0.6, 1.7])
def test_other_magnifications_are_a_setting(scale: float) -> None:
    field = fields()[1]
    frame = cv2.resize(field.brightfield, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    heads = Heads(head_length=100 * scale).detect(frame)
    near = [
        min(math.hypot(head.x - (cell.x + 0.5) * scale, head.y - (cell.y + 0.5) * scale) for head in heads)
        for cell in field.cells
    ]
    assert len(heads) == len(field.cells)
    assert max(near) < 6 * scale + 1


def test_rotated_and_mirrored_frames_hold_the_same_heads() -> None:
    frame = fields()[2].brightfield
    heads = sorted(Heads().detect(frame), key=lambda head: head.x)
    mirrored = sorted(Heads().detect(np.ascontiguousarray(frame[:, ::-1])), key=lambda head: -head.x)
    assert len(heads) == len(mirrored) > 0
    for head, other in zip(heads, mirrored, strict=True):
        assert math.hypot(head.x - (frame.shape[1] - 1 - other.x), head.y - other.y) < 2
        assert turn(head.angle, math.pi - other.angle) < 4


@pytest.mark.parametrize(
    "frame",
    [np.zeros((600, 800), np.uint8), np.full((600, 800), 40_000, np.uint16), np.zeros((20, 30), np.uint8)],
    ids=["black", "flat", "smaller than a head"],
)
def test_a_blank_frame_has_no_heads(frame: npt.NDArray[np.generic]) -> None:
    assert list(Heads().detect(frame)) == []


@pytest.mark.parametrize("grain", [0.6, 1.5, 4.0])
def test_noise_is_no_head(grain: float) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 20, (900, 1200)), (0, 0), grain)
    assert list(Heads().detect(np.clip(120 + noise, 0, 255).astype(np.uint8))) == []


def test_a_loop_of_tail_is_no_head() -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 6, (600, 800)), (0, 0), 1.5)
    frame = 120 + noise
    for width, step in ((22, 50.0), (8, -90.0)):  # a bright halo on both sides of a dark line
        stroke = np.zeros(frame.shape, np.uint8)
        cv2.ellipse(stroke, (400, 300), (50, 35), 20.0, 0, 360, 1, width)
        frame += step * cv2.GaussianBlur(stroke.astype(np.float64), (0, 0), 1.5)
    assert list(Heads().detect(frame.clip(0, 255).astype(np.uint8))) == []


def test_a_head_cut_by_the_border_is_left_out() -> None:
    field = fields()[0]
    cell = field.cells[0]
    cut = field.brightfield[:, math.ceil(cell.x) - 20 :]
    assert all(math.hypot(head.x - 20, head.y - cell.y) > 40 for head in Heads().detect(cut))


def test_wrong_settings_and_frames_are_told() -> None:
    with pytest.raises(EdgeUsageError, match="head_length of the detector heads is 2; give 8 to 4000"):
        Heads(head_length=2)
    with pytest.raises(EdgeError, match="one brightfield plane"):
        Heads().detect(np.zeros((300, 300, 3), np.uint8))


def test_it_comes_as_a_plugin_of_the_edge_and_of_a_study() -> None:
    live = plugins().find("detector", "heads").create(head_length=95.0)
    study = registry().create("detector", "head-live", {"head_length": 95.0})
    frame = as_camera(brightfield_field(320, 480, seed=1), "uint8")
    assert [asdict(head) for head in live.detect(frame)] == [asdict(head) for head in study.detect(frame)] != []
