"""What the sources that read image files share: which files, in which order, and a frame of one."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np

from vsf_edge.errors import CorruptFrameError
from vsf_edge.frames import Frame, Pixels

BIT_DEPTH_TEXT = "Bits of a count; 0 takes 8 or 16, as the file holds them."
PIXEL_SIZE_TEXT = "Micrometres per pixel; 0 where it is not known."


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Sort as people count: ``img2`` before ``img10``."""
    parts = re.split(r"(\d+)", path.as_posix())
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def frame_of(
    pixels: Pixels,
    number: int,
    *,
    bit_depth: int,
    pixel_size_um: float,
    captured: float | None = None,
    **metadata: str | int | float | bool | None,
) -> Frame:
    """Make a frame of raw counts [H, W] that were just read, or reached this computer when `captured` says.

    See :data:`BIT_DEPTH_TEXT` for `bit_depth`.

    Raises
    ------
    CorruptFrameError
        When a count needs more bits than it should have.
    """
    holds = 8 if pixels.dtype == np.uint8 else 16
    bits = bit_depth or holds
    if bits < holds and pixels.max(initial=0) >= 1 << bits:
        origin = metadata.get("file") or f"frame {number}"
        raise CorruptFrameError(f"{origin} holds counts up to {pixels.max()}, which do not fit into {bits} bits")
    return Frame(
        pixels=pixels,
        number=number,
        captured=time.monotonic() if captured is None else captured,
        time=time.time(),
        bit_depth=bits,
        pixel_size_um=pixel_size_um or None,
        metadata=metadata,
    )


class Pace:
    """Says when the next frame is due, `fps` per second; 0 is always.

    A reader that comes late by more than a frame finds one waiting, and those after it are not hurried.
    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps if fps else 0.0
        self._due = 0.0

    def wait(self, timeout: float) -> bool:
        """Sleep until a frame is due, at most `timeout` seconds, and say whether one is: it counts as taken."""
        now = time.monotonic()
        if self._due - now > timeout:
            time.sleep(timeout)
            return False
        if self._due > now:
            time.sleep(self._due - now)
        self._due = (self._due if now - self._due < self._period else now) + self._period
        return True
