"""The simulated camera: same seed same frames, heads where it says, losses counted, settings held to."""

from __future__ import annotations

import time

import numpy as np
import pytest

from vsf_edge.errors import EdgeUsageError
from vsf_edge.sources.simulator import Simulator


def _simulator(**given: object) -> Simulator:
    return Simulator(**{"width": 320, "height": 256, "cells": 1, "fps": 0, **given})


def test_the_same_seed_gives_the_same_frames_in_any_order() -> None:
    first, second = _simulator(seed=4), _simulator(seed=4)
    for number in (0, 7):
        np.testing.assert_array_equal(first.render(number), second.render(number))
    np.testing.assert_array_equal(first.render(0), second.render(0))
    assert not np.array_equal(first.render(0), _simulator(seed=5).render(0))


def test_frames_come_in_order_and_say_that_they_are_simulated() -> None:
    source = _simulator()
    source.open()
    frames = [source.read(1.0) for _ in range(3)]
    source.close()
    assert not source.live
    assert [frame.number for frame in frames if frame] == [0, 1, 2]
    frame = frames[0]
    assert frame is not None
    assert frame.metadata["simulated"] is True
    assert frame.pixels.shape == (256, 320)
    assert frame.pixels.dtype == np.uint8


@pytest.mark.parametrize(("bit_depth", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_counts_use_the_bits_they_claim(bit_depth: int, dtype: type) -> None:
    pixels = _simulator(bit_depth=bit_depth).render(0)
    assert pixels.dtype == dtype
    level = np.median(pixels) / 2 ** (bit_depth - 8)
    assert 120 < level < 155
    assert pixels.max() < 2**bit_depth


def test_heads_lie_where_it_says_darker_than_around_and_move() -> None:
    source = Simulator(width=700, height=700, cells=4, fps=0, seed=2, drift=50)
    for number in (0, 100):
        pixels = source.render(number).astype(float)
        heads = source.heads(number)
        assert heads
        for head in heads:
            x, y = round(head.x), round(head.y)
            inside = pixels[y - 15 : y + 16, x - 15 : x + 16].mean()
            assert inside < 0.93 * np.median(pixels), head
    moved = np.hypot(source.heads(0)[0].x - source.heads(5)[0].x, source.heads(0)[0].y - source.heads(5)[0].y)
    assert 5 < moved < 20  # 0.2 s at 50 px/s, and the wiggle


def test_the_tail_lies_behind_the_head() -> None:
    source = Simulator(width=900, height=900, cells=1, fps=0, seed=6, defocus=0, wiggle=0, drift=0)
    pixels = source.render(0).astype(float)
    heads = source.heads(0)
    assert heads
    for head in heads:
        reach = head.length / 2 + 25
        sides = []
        for direction in (-1, 1):
            x = round(head.x + direction * reach * np.cos(head.angle))
            y = round(head.y + direction * reach * np.sin(head.angle))
            sides.append(pixels[y - 9 : y + 10, x - 9 : x + 10].min())
        assert sides[0] < sides[1] - 10  # the midpiece is dark, and nothing lies ahead of the tip


def test_a_wandering_focus_takes_contrast() -> None:
    sharp, soft = _simulator(seed=3, defocus=0), _simulator(seed=3, defocus=6)
    assert _contrast(soft.render(150)) < 0.8 * _contrast(sharp.render(150))  # 6 s: the focus is farthest away


def _contrast(pixels: np.ndarray) -> float:
    return float(np.abs(np.diff(pixels.astype(float), axis=0))[:, 4:-4].max())


def test_it_is_paced_and_counts_what_nobody_took() -> None:
    source = _simulator(fps=100.0)
    assert source.live
    source.open()
    start = time.monotonic()
    first = [source.read(1.0) for _ in range(6)]
    assert time.monotonic() - start > 0.04
    assert source.lost() == 0
    time.sleep(0.3)
    later = source.read(1.0)
    assert later is not None
    assert first[-1] is not None
    assert later.number - first[-1].number - 1 == source.lost() > 10


def test_no_frame_within_the_timeout_is_none() -> None:
    source = _simulator(fps=1.0)
    source.open()
    assert source.read(0.5) is not None
    start = time.monotonic()
    assert source.read(0.05) is None
    assert time.monotonic() - start < 0.5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"wdith": 100}, "did you mean 'width'"),
        ({"width": "many"}, "a whole number from 128 to 8192"),
        ({"bit_depth": "10"}, "8 or 12 or 16"),
        ({"fps": "nan"}, "a number from 0 to 1000"),
        ({"width": True}, "width=true"),
    ],
)
def test_a_wrong_setting_is_one_sentence(given: dict[str, object], words: str) -> None:
    with pytest.raises(EdgeUsageError, match=words):
        Simulator(**given)


def test_settings_may_be_texts_and_an_address_is_refused() -> None:
    assert Simulator("", width="300", fps="0").render(0).shape == (1024, 300)
    with pytest.raises(EdgeUsageError, match="takes no address"):
        Simulator("0")
