"""What changes from one frame to the next, said once: size, bit depth, exposure, pixel size, the wall clock."""

from __future__ import annotations

import math
import time

import numpy as np

from vsf_edge.frames import Frame
from vsf_edge.live.notices import Notices

CLOCK_JUMP_S = 1.0
"""The wall clock may run off from the monotonic one by this much (it is slewed by NTP) before it has jumped."""

MOST_BITS = {"uint8": 8, "uint16": 16}


class Watch:
    """Compares every frame with the one before it."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._last: Frame | None = None
        self._clock = math.nan

    def problem(self, frame: Frame) -> str:
        """Say why `frame` cannot be used at all; empty where it can. A plugin made it, so nothing is believed."""
        pixels = frame.pixels
        if not isinstance(pixels, np.ndarray) or pixels.dtype.name not in MOST_BITS:
            return f"its pixels are {getattr(pixels, 'dtype', type(pixels).__name__)} and not uint8 or uint16"
        if pixels.ndim != 2 or not pixels.size:
            return f"its shape is {pixels.shape} and not [height, width]"
        if not 1 <= frame.bit_depth <= MOST_BITS[pixels.dtype.name]:
            return f"its bit depth is {frame.bit_depth}, which {pixels.dtype} cannot hold"
        if not (math.isfinite(frame.captured) and frame.captured <= time.monotonic() + 0.001):
            return "its time of capture is not in the past"
        return ""

    def see(self, frame: Frame) -> None:
        """Tell what `frame` has that the one before it had not."""
        last, self._last = self._last, frame
        self._see_clock(frame)
        if last is None:
            return
        if frame.pixels.shape != last.pixels.shape:
            self._tell("warning", "size-changed", "frames are", _size(last), _size(frame))
        if frame.bit_depth != last.bit_depth:
            self._tell("warning", "bit-depth-changed", "pixels have", f"{last.bit_depth}", f"{frame.bit_depth} bits")
        if frame.pixel_size_um != last.pixel_size_um:
            self._tell(
                "warning", "pixel-size-changed", "a pixel is", f"{last.pixel_size_um}", f"{frame.pixel_size_um} um"
            )
        for name in sorted({*last.metadata, *frame.metadata}):
            before, now = last.metadata.get(name), frame.metadata.get(name)
            if name.lower().startswith("exposure") and before != now:
                self._tell("info", "exposure-changed", f"{name} is", f"{before}", f"{now}")

    def _see_clock(self, frame: Frame) -> None:
        before, self._clock = self._clock, frame.time - frame.captured
        if abs(self._clock - before) > CLOCK_JUMP_S:
            self._notices.tell(
                "warning",
                "clock-jumped",
                f"the clock of this computer jumped by {self._clock - before:+.1f} s: latencies do not depend on it, "
                "but the times in a recording do",
            )

    def _tell(self, level: str, kind: str, what: str, before: str, now: str) -> None:
        assert level in ("info", "warning")
        self._notices.tell("warning" if level == "warning" else "info", kind, f"{what} {now} now, and were {before}")


def _size(frame: Frame) -> str:
    return f"{frame.pixels.shape[1]}x{frame.pixels.shape[0]}"
