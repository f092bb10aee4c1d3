"""Memory that a process has freed is kept for what it asks for next, instead of being given back and asked for again.

Fields, and what a network makes of them on its way, are arrays of many megabytes that live for milliseconds. The GNU C
library gives each back to the system when it is freed, and for the next one the system hands out pages one by one, set
to 0: a sixth of the time that staining took, and up to a third of that of building (docs/scale.md).
"""

from __future__ import annotations

import ctypes
import os
import sys

KEPT = 1 << 30
"""Bytes: a larger array, and more than this that is free, goes back at once."""
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(KEPT),
    "MALLOC_TRIM_THRESHOLD_": str(KEPT),
    "MALLOC_ARENA_MAX": "1",  # a worker's tasks run in a thread, whose own arena would hold no large array
}
"""The same for a process that is to be started."""
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Names of the two numbers in glibc's ``malloc.h``."""


def keep_freed_memory() -> None:
    """Have this process keep what it frees, unless its environment says otherwise; without glibc, do nothing."""
    if not sys.platform.startswith("linux") or any(name in os.environ for name in ENVIRONMENT):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, KEPT)
        mallopt(TRIM_THRESHOLD, KEPT)
