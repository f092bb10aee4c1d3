"""Identities: kept through crossings, gaps and dropped frames; new ones for new cells."""

from __future__ import annotations

import numpy as np

from vsf_edge.frames import Detection
from vsf_edge.tracking import FORGOTTEN_S, Tracker


def head(x: float, y: float, length: float = 100.0) -> Detection:
    return Detection(x=x, y=y, angle=0.0, length=length, score=0.9)


def test_many_swimming_cells_keep_their_identity_whatever_order_they_are_found_in() -> None:
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(np.arange(5), np.arange(4)), axis=-1).reshape(-1, 2) * 300.0
    speeds = rng.normal(0, 100, (20, 2))  # pixels per second: a head length
    tracker, first = Tracker(), {}
    for frame in range(40):
        time = frame / 20
        now = places + speeds * time + rng.normal(0, 2, (20, 2))
        order = rng.permutation(20)
        numbers = tracker.update([head(*now[cell]) for cell in order], time)
        for cell, number in zip(order, numbers, strict=True):
            assert first.setdefault(cell, number) == number
    assert sorted(first.values()) == list(range(1, 21))


def test_two_cells_that_pass_each_other_are_not_exchanged() -> None:
    tracker = Tracker()
    for frame in range(60):
        time = frame / 30
        numbers = tracker.update([head(100 + 400 * time, 100), head(900 - 400 * time, 160)], time)
        assert numbers == [1, 2]


def test_a_cell_that_is_missed_for_a_while_comes_back_as_itself_and_later_as_another() -> None:
    tracker = Tracker()
    for frame in range(10):
        assert tracker.update([head(100 + 5 * frame, 100)], frame / 20) == [1]
    assert tracker.update([], 0.5) == []
    assert tracker.update([head(100 + 5 * 16, 100)], 0.8) == [1]
    assert tracker.update([head(200, 100)], 0.8 + 2 * FORGOTTEN_S) == [2]
    assert tracker.alive == {2}


def test_something_far_away_or_of_quite_another_size_is_another_cell() -> None:
    tracker = Tracker()
    tracker.update([head(100, 100)], 0.0)
    assert tracker.update([head(400, 100)], 0.05) == [2]
    assert tracker.update([head(100, 100), head(400, 100), head(180, 100)], 0.1) == [1, 2, 3]


def test_no_time_between_two_frames_is_survived() -> None:
    tracker = Tracker()
    for _ in range(3):
        assert tracker.update([head(100, 100)], 1.0) == [1]
