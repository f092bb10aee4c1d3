"""The pieces of the live view: colours for every eye, stains put back to their place, calm levels, distributions."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.live.scripted import manifest, result, session
from vsf_edge.frames import Detection, LiveCell, Readout
from vsf_edge.manifest import Quantity
from vsf_edge.web.annotating import SHOWN_WIDE, annotate
from vsf_edge.web.colours import STOPS, Scale, round_up
from vsf_edge.web.levels import Levels
from vsf_edge.web.messages import Picture, pack, unpack
from vsf_edge.web.painting import Painter
from vsf_edge.web.placing import Reduction, put_back
from vsf_edge.web.tally import BINS, MOST_TRACKS, Tally

# Machado, Oliveira & Fernandes 2009, severity 1: linear RGB as people without one kind of cone see it
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_scale_gets_lighter_for_every_eye(kind: str) -> None:
    """Higher is lighter whatever colours somebody sees, and each tenth can be told from the next (2.3 is just seen)."""
    colours = np.array([Scale(0, 1).colour(value) for value in np.linspace(0, 1, 11)], np.float64) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ BLINDNESS[kind].T, 0, 1)
    light = seen @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(light) - 16
    assert np.all(np.diff(lightness) > 2.3)


def test_colours_are_those_of_the_stops() -> None:
    scale = Scale(0, 0.4)
    assert scale.colour(-1) == STOPS[0]
    assert scale.colour(0.2) == STOPS[4]
    assert scale.colour(9) == STOPS[-1]
    assert scale.colour(math.nan) not in STOPS


@given(st.floats(1e-6, 1e9))
def test_rounding_up_gives_a_round_number_not_below(value: float) -> None:
    rounded = round_up(value)
    assert value * (1 - 1e-6) <= rounded <= value * 2.5 * (1 + 1e-6)


def spot(side: int, x: float, y: float) -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:side, :side]
    plane = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.5**2))
    return np.repeat(plane[:, :, np.newaxis], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2, -2.5, math.pi])
def test_a_patch_comes_back_to_where_it_was_cut(factor: int, angle: float) -> None:
    """A spot 30 px towards the tip and 12 px to its right is found there, to a third of a pixel of the picture."""
    side, patch_side = 150.0, 64
    along, across = 30.0, 12.0
    patch = spot(patch_side, (along / side + 0.5) * patch_side - 0.5, (across / side + 0.5) * patch_side - 0.5)
    cell = Detection(x=411.0, y=297.5, angle=angle, length=100, score=1)
    reduction = Reduction.to_fit((800, 1000), math.ceil(1000 / factor))
    assert reduction.factor == factor
    canvas = np.zeros((reduction.height, reduction.width, 3), np.uint8)
    put_back(canvas, patch, cell, reduction, side)
    weights = canvas[:, :, 1].astype(np.float64)
    rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
    x, y = (float((weights * axis).sum() / weights.sum()) for axis in (columns, rows))
    expected_x = cell.x + along * math.cos(angle) - across * math.sin(angle)
    expected_y = cell.y + along * math.sin(angle) + across * math.cos(angle)
    assert x == pytest.approx(reduction.place(expected_x), abs=0.34)
    assert y == pytest.approx(reduction.place(expected_y), abs=0.34)


@given(x=st.floats(-300, 1300), y=st.floats(-300, 1300), angle=st.floats(-math.pi, math.pi))
def test_a_patch_at_or_beyond_the_border_harms_nothing(x: float, y: float, angle: float) -> None:
    canvas = np.zeros((100, 100, 3), np.uint8)
    reduction = Reduction.to_fit((1000, 1000), 100)
    put_back(canvas, spot(16, 8, 8), Detection(x=x, y=y, angle=angle, length=9, score=1), reduction, 40.0)


def test_brighter_wins_where_patches_overlap() -> None:
    canvas = np.zeros((200, 200, 3), np.uint8)
    reduction = Reduction(1, 200, 200)
    for grey in (200, 90):
        put_back(
            canvas,
            np.full((50, 50, 3), grey, np.uint8),
            Detection(x=100, y=100, angle=0, length=9, score=1),
            reduction,
            50,
        )
    assert canvas[100, 100].tolist() == [200, 200, 200]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_levels_show_black_and_white_at_the_percentiles(dtype: type) -> None:
    pixels = np.linspace(40, 200, 10_000).reshape(100, 100).astype(dtype)
    levels = Levels((0, 100), least=8)
    levels.follow(pixels)
    shown = levels.apply(pixels)
    assert (shown.dtype, int(shown.min()), int(shown.max())) == (np.uint8, 0, 255)
    assert levels.apply(np.array([[0, 39]], dtype)).max() == 0  # below black is black, not its mirror image
    assert abs(int(shown[50, 0]) - 128) <= 2


def test_levels_follow_slowly_and_jump_with_the_exposure() -> None:
    levels = Levels((0, 100), least=8)
    levels.follow(np.array([[0.0, 100.0]]))
    levels.follow(np.array([[0.0, 110.0]]))
    assert 100 < levels.high < 103
    levels.follow(np.array([[0.0, 1000.0]]))
    assert levels.high == 1000
    levels.follow(np.array([[5.0, 5.0]]))  # a black frame: noise is not blown up
    assert levels.high - levels.low >= 8


def cell(track: int, value: float, frames: int = 3) -> LiveCell:
    return LiveCell(
        track=track,
        detection=Detection(x=0, y=0, angle=0, length=1, score=1),
        brightfield=np.zeros((4, 4)),
        stains=np.zeros((2, 4, 4), np.float32),
        quantities={},
        steady={"dfi": Readout(value=value, low=math.nan, high=math.nan, frames=frames)},
    )


def test_a_distribution_counts_every_track_once() -> None:
    tally = Tally(manifest().quantities)
    tally.add([cell(1, 0.1), cell(2, 0.2), cell(3, math.nan), cell(4, 0.1, frames=0), cell(5, 0.9)])
    tally.add([cell(1, 0.12)])
    found = tally.distribution("dfi")
    assert (found.cells, sum(found.counts), found.median) == (3, 3, pytest.approx(0.2))
    assert found.scale == Scale(0, 0.3)
    assert found.counts[int(0.12 / 0.3 * BINS)] == 1
    assert found.counts[-1] == 1  # beyond the scale


def test_a_scale_fits_what_it_shows() -> None:
    quantities = [
        Quantity(name="dfi", unit="1", description="", output="dfi"),
        Quantity(name="length", unit="um", description="", output="length"),
    ]
    tally = Tally(quantities)
    tally.add([cell(track, 0.5) for track in range(3)])
    assert tally.scale("dfi") == Scale(0, 1)
    assert tally.scale("length") == Scale(0, 1)
    for entry in (found := cell(9, 0.5),):
        object.__setattr__(entry, "steady", {"length": Readout(value=4.4, low=4, high=5, frames=1)})
    tally.add([found])
    assert tally.scale("length") == Scale(0, 5)


def test_a_distribution_does_not_grow_without_end() -> None:
    tally = Tally(manifest().quantities)
    for start in range(0, MOST_TRACKS + 5000, 1000):
        tally.add([cell(track, 0.1) for track in range(start, start + 1000)])
    assert tally.distribution("dfi").cells == MOST_TRACKS


def test_what_is_packed_is_unpacked() -> None:
    pictures = [
        Picture(name="a", width=1, height=2, jpeg=b"one"),
        Picture(name="b", width=3, height=4, jpeg=b"", track=7),
    ]
    header, jpegs = unpack(pack({"sequence": 3, "word": "ä"}, pictures))
    assert (header["sequence"], header["word"], jpegs) == (3, "ä", [b"one", b""])
    assert header["pictures"][1] == {"name": "b", "width": 3, "height": 4, "bytes": 0, "track": 7}
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack({"bad": math.nan}, [])


def test_the_first_stain_is_green_and_the_second_red() -> None:
    painter = Painter(manifest(), 400)
    shown = result(0, width=320, height=256, cells=2.0)
    _, canvas, _ = painter.fields(shown)
    green = painter.stain_picture(np.stack([np.full((8, 8), 255, np.float32), np.zeros((8, 8), np.float32)]))
    assert green[4, 4, :3].tolist() == [0, 255, 0]
    found = shown.cells[0].detection
    assert canvas[round(found.y), round(found.x), 0] == 0
    assert canvas[round(found.y), round(found.x), 1:3].max() > 40
    decoded = cv2.imdecode(np.frombuffer(painter.paint(shown, ())[1].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - canvas[:, :, :3]).mean() < 4


@pytest.mark.parametrize("side", [640, 1024, 1500])
def test_numbers_can_be_read_in_the_picture_without_javascript(side: int) -> None:
    """As wide as a browser shows it, a number has white figures of 8 px or more on a dark ground."""
    shown = result(9, width=side, height=side, cells=3.0, still=True)
    picture = annotate(shown, session(), Painter(manifest(), side), {"dfi": Scale(0, 0.3)})
    zoom = picture.shape[1] / SHOWN_WIDE
    found = next(cell for cell in shown.cells if not cell.abstained and cell.detection.y > 150).detection
    reach = math.hypot(0.6 * found.length * math.sin(found.angle), 0.42 * found.length * math.cos(found.angle))
    bottom = round(found.y - reach - 3 * zoom)
    left, right = round(max(0.0, found.x - 14 * zoom)), round(found.x + 14 * zoom)
    above = picture[bottom - round(24 * zoom) : bottom, left:right].astype(int)
    rows = np.flatnonzero((above.min(axis=2) > 240).any(axis=1))
    assert rows[-1] - rows[0] + 1 >= 8 * zoom
    assert np.mean(above[rows[0] : rows[-1] + 1].max(axis=2) < 60) > 0.25  # the ground, not the brightfield
