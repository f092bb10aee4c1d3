"""A scripted camera, a sink that keeps what it gets, and drawn frames, for tests of the real loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.errors import SourceEndError
from vsf_edge.frames import Frame, FrameResult, LiveSession, Notice

FIELD_PX = 150


def drawn_frame(
    heads: Sequence[tuple[float, float]] = ((128, 128),), shape: tuple[int, int] = (256, 256), seed: int = 0
) -> npt.NDArray[np.uint8]:
    """Dark ovals, 100 px long, with bright halos on a noisy background."""
    rng = np.random.default_rng(seed)
    light = np.full(shape, 130.0)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for x, y in heads:
        radius = np.hypot((columns - x) / 50, (rows - y) / 34)
        rim, halo = 1 / (1 + np.exp((radius - 1) * 12)), np.exp(-(((radius - 1.15) / 0.09) ** 2))
        light *= 1 - (0.35 + 0.1 * (columns < x)) * rim + 0.22 * halo
    return np.clip(np.rint(light + rng.normal(0, 1.5, shape)), 0, 255).astype(np.uint8)


PICTURE = drawn_frame()


def a_frame(number: int, pixels: npt.NDArray[Any] = PICTURE, **changes: Any) -> Frame:
    values = {"pixels": pixels, "number": number, "captured": time.monotonic(), "time": time.time(), "bit_depth": 8}
    return Frame(**{**values, **changes})


Step = Frame | Exception | float | None
"""A frame, what `read` raises, seconds in which nothing comes, or nothing once."""


class ScriptedSource:
    """Follows a script per opening; ends when the last one is over."""

    live = True

    def __init__(self, *scripts: Callable[[], Iterator[Step]], open_errors: Mapping[int, Exception] | None = None):
        self._scripts = list(scripts)
        self._errors = dict(open_errors or {})
        self.opened = self.closed = 0
        self.open_times: list[float] = []
        self._steps: Iterator[Step] = iter(())

    def open(self) -> None:
        self.opened += 1
        self.open_times.append(time.monotonic())
        if self.opened in self._errors:
            raise self._errors[self.opened]
        self._steps = self._scripts.pop(0)() if self._scripts else iter(())

    def read(self, timeout: float) -> Frame | None:
        try:
            step = next(self._steps)
        except StopIteration:
            raise SourceEndError("the script is over") from None
        if isinstance(step, Exception):
            raise step
        if isinstance(step, float):
            time.sleep(min(step, timeout))
            return None
        return step

    def close(self) -> None:
        self.closed += 1

    def lost(self) -> int:
        return 0


def frames(
    count: int, pixels: npt.NDArray[Any] = PICTURE, every: float = 0.0, start: int = 0, **changes: Any
) -> Callable[[], Iterator[Step]]:
    """A script of `count` frames, one each `every` seconds."""

    def script() -> Iterator[Step]:
        for number in range(start, start + count):
            if every:
                time.sleep(every)
            yield a_frame(number, pixels, **changes)

    return script


def script(*steps: Step | Callable[[], Iterator[Step]]) -> Callable[[], Iterator[Step]]:
    """Several steps or scripts after each other; a float is a silence of so many seconds."""

    def run() -> Iterator[Step]:
        for step in steps:
            if callable(step):
                yield from step()
            elif isinstance(step, float):
                end = time.monotonic() + step
                while time.monotonic() < end:
                    yield 0.02
            else:
                yield step

    return run


@dataclass
class KeepingSink:
    """Keeps everything; `act` may be slow or fail."""

    every: bool = True
    act: Callable[[FrameResult], None] = lambda result: None
    results: list[FrameResult] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    session: LiveSession | None = None
    stopped: int = 0
    first: threading.Event = field(default_factory=threading.Event)

    def start(self, session: LiveSession) -> None:
        self.session = session

    def take(self, result: FrameResult) -> None:
        self.act(result)
        self.results.append(result)
        self.first.set()

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def stop(self) -> None:
        self.stopped += 1
