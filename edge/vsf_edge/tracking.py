"""Gives a cell the same identity from frame to frame: a Kalman filter per cell, and the best assignment of all at once.

Positions are predicted at constant velocity (OpenCV's ``KalmanFilter``), and each frame's heads are assigned to them so
that the sum of distances is smallest (``lapx``, extra ``live``: MIT, needs NumPy only). Frames may be missing: time is
what `Frame.captured` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.errors import EdgeError, brief
from vsf_edge.frames import Detection

REACH = 0.75
"""A cell is looked for within so many head lengths of where it is expected; two heads hardly come nearer than one."""

SHAPE_COST = 0.3
"""What a head of twice or half the length costs, in head lengths of distance."""

FORGOTTEN_S = 1.0
"""A cell that was not seen for so long gets a new identity when it comes back."""

JITTER = 0.04
"""Standard deviation of a detected position, in head lengths."""

ACCELERATION = 20.0
"""Standard deviation of a cell's acceleration, head lengths per second squared: swimming cells turn quickly."""


class Tracker:
    """Follows cells through the frames of a session."""

    def __init__(self) -> None:
        self._lap = _import_lap()
        self._tracks: list[_Track] = []
        self._last_number = 0

    def update(self, heads: Sequence[Detection], time: float) -> list[int]:
        """Give the identity of each of `heads` of a frame taken at `time` (seconds, rising): numbered from 1."""
        self._tracks = [track for track in self._tracks if time - track.seen <= FORGOTTEN_S]
        predicted = [track.predict(time) for track in self._tracks]
        numbers = [0] * len(heads)
        for row, column in self._assign(predicted, heads):
            self._tracks[row].correct(heads[column], time)
            numbers[column] = self._tracks[row].number
        for index, head in enumerate(heads):
            if not numbers[index]:
                self._last_number += 1
                numbers[index] = self._last_number
                self._tracks.append(_Track(head, time, self._last_number))
        return numbers

    def forget(self) -> None:
        """Give every cell that comes a new identity."""
        self._tracks = []

    @property
    def alive(self) -> set[int]:
        """The identities that may still come back."""
        return {track.number for track in self._tracks}

    def _assign(
        self, predicted: Sequence[npt.NDArray[np.float64]], heads: Sequence[Detection]
    ) -> list[tuple[int, int]]:
        """Give pairs of track and head, each at most once, nearest together."""
        if not predicted or not heads:
            return []
        places = np.array([[head.x, head.y] for head in heads])
        lengths = np.array([track.length for track in self._tracks])[:, None]
        found = np.array([max(head.length, 1e-6) for head in heads])[None]
        away = np.linalg.norm(np.stack(predicted)[:, None] - places[None], axis=2) / lengths
        cost = away + SHAPE_COST * np.abs(np.log2(found / lengths))
        cost = np.where(away <= REACH, cost, 1e6)
        _, columns, _ = self._lap.lapjv(cost, extend_cost=True, cost_limit=10 * REACH)
        return [(row, int(column)) for row, column in enumerate(columns) if column >= 0 and away[row, column] <= REACH]


class _Track:
    """One cell: where it is, how fast it moves, and when it was last seen."""

    def __init__(self, head: Detection, time: float, number: int) -> None:
        self.number = number
        self.length = max(head.length, 1.0)
        self.seen = self._time = time
        self._filter = cv2.KalmanFilter(4, 2)  # x, y and their velocities, from x and y
        self._filter.measurementMatrix = np.eye(2, 4, dtype=np.float32)
        self._filter.measurementNoiseCov = np.eye(2, dtype=np.float32) * np.float32((JITTER * self.length) ** 2)
        spread = np.array([JITTER * self.length] * 2 + [2 * self.length] * 2, np.float32)
        self._filter.errorCovPost = np.diag(spread**2)
        self._filter.statePost = np.array([[head.x], [head.y], [0], [0]], np.float32)

    def predict(self, time: float) -> npt.NDArray[np.float64]:
        """Give where it should be at `time`: x and y."""
        step = np.float32(max(time - self._time, 1e-3))
        self._time = time
        transition = np.eye(4, dtype=np.float32)
        transition[0, 2] = transition[1, 3] = step
        self._filter.transitionMatrix = transition
        push = np.array([[step**2 / 2, 0], [0, step**2 / 2], [step, 0], [0, step]], np.float32)
        self._filter.processNoiseCov = push @ push.T * np.float32((ACCELERATION * self.length) ** 2)
        return np.asarray(self._filter.predict()[:2, 0], dtype=np.float64)

    def correct(self, head: Detection, time: float) -> None:
        """Take where it was found at `time`."""
        self._filter.correct(np.array([[head.x], [head.y]], np.float32))
        self.length += 0.1 * (max(head.length, 1.0) - self.length)
        self.seen = time


def _import_lap() -> Any:
    try:
        import lap
    except Exception as error:
        raise EdgeError(f"cells cannot be followed ({brief(error)}): pip install 'vsf-edge[live]'") from error
    return lap
