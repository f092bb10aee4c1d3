"""The detector of the live loop: what it finds, and how fast; on real images in tests/detectors/test_head_blob.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vsf_edge.detectors.heads import Heads
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import Detection
from vsf_edge.plugins import plugins
from vsframework.plugins import registry
from vsframework.simulation import SimulationOptions
from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.study import simulate_study_field
from vsframework.testing.prepared_images import as_camera, brightfield_field


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


def test_saturated_dirt_changes_nothing() -> None:
    frame = fields()[0].brightfield.astype(np.uint16) * 4
    expected = Heads().detect(frame)
    dirty = frame.copy()
    cv2.circle(dirty, (60, 60), 40, 65535, -1)
    assert all(math.hypot(head.x - 60, head.y - 60) > 250 for head in expected)
    heads = Heads().detect(dirty)
    assert len(heads) == len(expected) > 0
    for head, other in zip(heads, expected, strict=True):
        assert math.hypot(head.x - other.x, head.y - other.y) < 1


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


def test_wrong_settings_and_frames_are_told() -> None:
    with pytest.raises(EdgeUsageError, match="head_length of the detector heads is 2; give 8 to 4000"):
        Heads(head_length=2)
    with pytest.raises(EdgeError, match="one brightfield plane"):
        Heads().detect(np.zeros((300, 300, 3), np.uint8))


def test_it_comes_as_a_plugin_of_the_edge_and_of_a_study() -> None:
    live = plugins().find("detector", "heads").create(head_length=95.0)
    study = registry().create("detector", "head-blob", {"head_length": 95.0})
    frame = as_camera(brightfield_field(320, 480, seed=1), "uint8")
    assert [asdict(head) for head in live.detect(frame)] == [asdict(head) for head in study.detect(frame)] != []
