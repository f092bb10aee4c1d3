"""The frames of a multi-dimensional acquisition (MDA), which the core's engine runs, through a bounded queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsf_edge.errors import EdgeUsageError, SourceEndError, brief
from vsf_edge.frames import Frame
from vsf_edge.sources.core_images import CoreImage, frame_of_core

LISTEN = "listen"
_WAITING = 32
"""So many frames may wait; then the oldest one is dropped and counted, because a listener holds the microscope up."""


@dataclass(frozen=True)
class Acquisition:
    """A core, and the useq file that it runs; ``listen`` waits for acquisitions that others start."""

    core: Any
    plan: str


class AcquisitionQueue:
    """Takes frames as the engine makes them, in the engine's thread, and gives them in the reader's."""

    def __init__(self, acquisition: Acquisition) -> None:
        self._core = acquisition.core
        self._plan = acquisition.plan
        self._waiting: deque[tuple[int, float, Any, Any, Any]] = deque()
        self._news = threading.Condition()
        self._count = 0
        self._ended = False
        self._run: threading.Thread | None = None
        self.lost = 0
        events = self._core.mda.events
        sequence = _sequence(self._plan) if self._plan != LISTEN else None
        events.frameReady.connect(self._ready)
        if sequence is not None:
            events.sequenceFinished.connect(self._finished)
            self._run = self._core.run_mda(sequence)

    def read(self, timeout: float, known: CoreImage) -> Frame | None:
        """Give the next frame, None when none comes in time; `SourceEndError` when the acquisition is done."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._ended, timeout)
            if not self._waiting:
                if self._ended:
                    raise SourceEndError(f"the acquisition {self._plan} is done")
                return None
            number, captured, pixels, event, tags = self._waiting.popleft()
        found = {str(name): value for name, value in dict(tags or {}).items() if isinstance(value, str | int | float)}
        found |= {f"index-{axis}": index for axis, index in dict(getattr(event, "index", {})).items()}
        found["ImageNumber"] = number
        found.pop("TimeReceivedByCore", None)
        frame = frame_of_core(pixels, found, known, fallback=number)
        return replace(frame, captured=captured, time=frame.time - (frame.captured - captured))

    def stop(self) -> None:
        """Stop listening, and the acquisition where it was started here."""
        events = self._core.mda.events
        events.frameReady.disconnect(self._ready)
        if self._run is not None:
            events.sequenceFinished.disconnect(self._finished)
            self._core.mda.cancel()
            self._run.join(timeout=2)

    def _ready(self, pixels: Any, event: Any, tags: Any) -> None:
        with self._news:
            if len(self._waiting) == _WAITING:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append((self._count, time.monotonic(), pixels, event, tags))
            self._count += 1
            self._news.notify()

    def _finished(self, *_: Any) -> None:
        with self._news:
            self._ended = True
            self._news.notify()


def _sequence(plan: str) -> Any:
    import useq

    if not Path(plan).is_file():
        raise EdgeUsageError(f"there is no acquisition file {plan}; give a useq file (YAML or JSON), or {LISTEN}")
    try:
        return useq.MDASequence.from_file(plan)
    except Exception as error:
        raise EdgeUsageError(f"{plan} is no acquisition of useq ({brief(error)})") from error
