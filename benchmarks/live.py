"""The live loop end to end: frames per second, capture to result, and what is spent outside the network.

Frames of simulated cells are replayed from memory through the real loop (`vsf_edge.live`): detector, cutting, network,
quantities, gates with intervals, identities. The bundles are untrained, with a trust table whose limits let every cell
through: what they give is of no interest here, what they cost is the same as trained. Two figures per case:

- ``fps``: frames come as fast as they are taken, newest wins; results per second.
- ``paced``: frames come at half that rate, so that none waits for another; latency percentiles, the median of each
  stage, and ``outside_ms``: the median of capture to result less the network (`stain`).

Run ``python benchmarks/live.py`` for a table, with ``--json PATH`` for a record, and ``--plot PATH`` for a picture.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import _live_bundles
from _record import circumstances
from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.choice import choose
from vsf_edge.detectors.heads import Heads
from vsf_edge.errors import SourceEndError
from vsf_edge.frames import Frame, FrameResult, LiveSession, Mode, Notice
from vsf_edge.live.session import LiveLoop, Parts
from vsf_edge.live.settings import LoopSettings
from vsf_edge.plugins import plugins
from vsf_edge.sources.simulator import Simulator
from vsframework.atomic import write_text

TARGETS = {"fast 1024 px, 10 heads, fps": 25.0, "outside_ms, 1024 px": 3.0, "outside_ms, 2048 px field": 25.0}
CASES: tuple[tuple[int, Mode, int], ...] = (
    (512, "cells", 1), (512, "cells", 10), (512, "field", 1),
    (1024, "cells", 1), (1024, "cells", 10), (1024, "cells", 40), (1024, "field", 10),
    (2048, "cells", 1), (2048, "cells", 10), (2048, "cells", 40), (2048, "field", 10),
)  # fmt: skip
DIFFERENT = 8
"""Different frames that are replayed over and over."""


class Replay:
    """Gives recorded frames, one each `every` seconds, or as fast as they are taken."""

    live = True

    def __init__(self, recorded: list[Frame], every: float) -> None:
        self._recorded, self._every = itertools.cycle(recorded), every
        self._number, self._due = 0, 0.0

    def open(self) -> None:
        self._due = time.monotonic()

    def read(self, timeout: float) -> Frame | None:
        self._due = max(self._due + self._every, time.monotonic() - 1)
        wait = self._due - time.monotonic()
        if self._every == 0:
            wait = 0.002  # a camera never gives frames without end: leave the processor to the loop
        if wait > 0:
            time.sleep(wait)
        self._number += 1
        return replace(next(self._recorded), number=self._number, captured=time.monotonic(), time=time.time())

    def close(self) -> None:
        pass

    def lost(self) -> int:
        return 0


class Counting:
    """A sink that forgets the first results and counts the cells of the others."""

    every = True

    def __init__(self) -> None:
        self.cells: list[int] = []
        self.answered = 0

    def start(self, session: LiveSession) -> None:
        pass

    def take(self, result: FrameResult) -> None:
        if result.problem:
            raise RuntimeError(result.problem)
        self.cells.append(len(result.cells))
        self.answered += sum(not cell.abstained for cell in result.cells)

    def notice(self, notice: Notice) -> None:
        if notice.level == "error":
            raise RuntimeError(notice.text)

    def stop(self) -> None:
        pass


def recorded_frames(side: int, heads: int) -> list[Frame]:
    """Simulate frames of `side` pixels with about `heads` heads."""
    camera = Simulator(width=side, height=side, cells=heads, fps=0, drift=0, defocus=0.5)
    camera.open()
    found: list[Frame] = []
    while len(found) < DIFFERENT:
        frame = camera.read(1.0)
        if frame is not None:
            found.append(replace(frame, pixel_size_um=None))
    camera.close()
    return found


def run(bundle: Bundle, session: Any, frames: list[Frame], mode: Mode, every: float, seconds: float) -> Any:
    """Run the loop on `frames` for `seconds`."""
    sink = Counting()
    parts = Parts(
        bundle=bundle,
        session=session,
        reopen=lambda: session,
        engine="benchmark",
        source=Replay(frames, every),
        source_name="replay",
        make_detector=lambda length: Heads(head_length=length),
        sinks={"count": sink},
        make_recording=lambda folder: Counting(),
    )
    loop = LiveLoop(parts, LoopSettings(mode=mode, seconds=seconds, policy="latest"))
    loop.run()
    return loop.statistics.document(), sink
