"""What can be chosen about a live session, with defaults that fit a microscope."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vsf_edge.frames import Mode, Policy


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How a live session runs.

    Attributes
    ----------
    mode
        ``cells``: only the heads are stained. ``field``: the whole field too.
    policy
        ``latest``: a frame that came while an older one waits takes its place. ``all``: every frame waits for its turn;
        one that is lost all the same is an error notice.
    frames, seconds
        End after so many results, or so long; None for never.
    stall_s
        A camera that gives nothing for so long is opened again.
    opening_s
        A source that is being opened for so long is told of: a microscope moves its stages meanwhile.
    first_retry_s, last_retry_s
        Waiting times before what failed is tried again: the first one, doubling up to the last one.
    waiting_frames
        Frames that may wait under the policy ``all``.
    in_flight
        Frames that are worked on at once under the policy ``latest``: more would only make each of them older.
    waiting_results
        Results that may wait for a sink that must see every one.
    folder
        Where recordings and snapshots go that are started from a display.
    """

    mode: Mode = "cells"
    policy: Policy = "latest"
    frames: int | None = None
    seconds: float | None = None
    stall_s: float = 3.0
    opening_s: float = 60.0
    first_retry_s: float = 0.1
    last_retry_s: float = 5.0
    waiting_frames: int = 8
    in_flight: int = max(2, min(3, os.cpu_count() or 2))
    waiting_results: int = 16
    folder: Path = Path("recordings")


class Backoff:
    """How long to wait before the next try: doubling from `first` to `last` seconds until `reset`."""

    def __init__(self, first: float, last: float) -> None:
        self._first, self._last = first, last
        self._next = first

    def reset(self) -> None:
        """Begin with the first waiting time again."""
        self._next = self._first

    def next(self) -> float:
        """Give the waiting time before the next try."""
        now, self._next = self._next, min(2 * self._next, self._last)
        return now
