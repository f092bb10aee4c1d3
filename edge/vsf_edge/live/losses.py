"""Tells of frames that the camera lost: at once, and as long as it goes on, summed up."""

from __future__ import annotations

import time
from collections.abc import Callable

from vsf_edge.live.notices import AGAIN_S, Level, Notices

LOOKING_AGAIN_S = 60.0
"""With the policy ``latest`` a camera that is faster than the box is nothing new after the first time."""


class Losses:
    """Sums up losses between one notice and the next; the first one is told at once.

    Parameters
    ----------
    everything
        Whether every frame is wanted (policy ``all``): then it is an error, told again after a few seconds.
    clock
        Gives seconds that never run backwards.
    """

    def __init__(self, notices: Notices, everything: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._notices, self._everything, self._clock = notices, everything, clock
        self._again = AGAIN_S if everything else LOOKING_AGAIN_S
        self._told: float | None = None
        self._lost = self._came = 0

    def see(self, number: int, lost: int) -> None:
        """Take the frame `number`, before which `lost` were lost."""
        self._lost, self._came = self._lost + lost, self._came + 1
        if self._lost and (self._told is None or self._clock() - self._told >= self._again):
            self._tell(f" before number {number}")

    def end(self) -> None:
        """Tell what was not told yet, where every frame is wanted."""
        if self._lost and self._everything:
            self._tell("")

    def _tell(self, place: str) -> None:
        now = self._clock()
        if self._told is None:
            what = f"{self._lost} frame{'s' if self._lost > 1 else ''}{place}"
        else:
            every = self._lost + self._came
            share, seconds = 100 * self._lost / every, now - self._told
            what = f"{self._lost} of {every} frames ({share:.1f} %) in the last {seconds:.0f} s"
        if self._everything:
            why = "staining or a sink is too slow for --policy all at this frame rate"
        elif self._told is None:
            why = "it may be faster than this computer; how many more is told once a minute"
        else:
            why = "a longer exposure or fewer pixels would lose fewer"
        self._told, self._lost, self._came = now, 0, 0
        level: Level = "error" if self._everything else "warning"
        self._notices.tell(level, "frame-lost", f"the camera lost {what}: {why}", always=True)
