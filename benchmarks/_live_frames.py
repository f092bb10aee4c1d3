"""Frames of simulated cells for the benchmark of the live loop, and the camera that shows them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

import _live_bundles
from vsf_edge.detectors.heads import Heads
from vsf_edge.frames import Frame
from vsf_edge.interfaces import Source
from vsf_edge.live.preparing import HEAD_SHARE
from vsf_edge.sources.micromanager import MicroManager
from vsf_edge.sources.simulator import Simulator

DIFFERENT = 8
"""Different frames that are replayed over and over."""

Camera = Callable[[float], Source]
"""Makes a source that gives a frame each so many seconds."""


def recorded_frames(side: int, heads: int) -> list[Frame]:
    """Simulate frames of `side` pixels in which the detector finds `heads` heads, or nearly: some lie at the border."""
    detector = Heads(head_length=_live_bundles.FIELD_PX * HEAD_SHARE)
    best: list[Frame] = []
    off = math.inf
    cells = heads
    while cells <= 2 * heads + 2:
        camera = Simulator(width=side, height=side, cells=cells, fps=0, drift=0, defocus=0.5)
        camera.open()
        given = [camera.read(1.0) for _ in range(DIFFERENT)]
        camera.close()
        found = [replace(frame, pixel_size_um=None) for frame in given if frame is not None]
        missing = heads - float(np.median([len(detector.detect(frame.pixels)) for frame in found]))
        if abs(missing) < off:
            best, off = found, abs(missing)
        if missing <= 0:
            break
        cells += math.ceil(missing)
    return best


def replay_camera(frames: list[Frame], folder: Path) -> Camera:
    """Give `frames`, written as TIFF into the new `folder`, through the camera of a real Micro-Manager core."""
    folder.mkdir()
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"frame{index}.tif"), frame.pixels, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    return lambda every: MicroManager(replay=str(folder), exposure_ms=1000 * every)


def from_memory(frames: list[Frame]) -> Camera:
    """Give `frames` as they lie in memory, on a machine without Micro-Manager's core."""
    return lambda every: _Memory(frames, every)


class _Memory:
    """Gives frames in turn, one each `every` seconds."""

    live = True

    def __init__(self, frames: list[Frame], every: float) -> None:
        self._frames, self._every = itertools.cycle(frames), every
        self._number, self._due = 0, 0.0

    def open(self) -> None:
        """Begin now."""
        self._due = time.monotonic()

    def read(self, timeout: float) -> Frame | None:
        """Give the next frame when it is due; one that nobody took meanwhile is there at once, and the next later."""
        self._due = max(self._due + self._every, time.monotonic())
        time.sleep(self._due - time.monotonic() if self._due > time.monotonic() else 0)
        self._number += 1
        return replace(next(self._frames), number=self._number, captured=time.monotonic(), time=time.time())

    def close(self) -> None:
        """Do nothing."""

    def lost(self) -> int:
        """Give none."""
        return 0
