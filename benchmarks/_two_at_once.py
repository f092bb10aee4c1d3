"""What two processes at a time can gain on this machine, whatever they do: cores share a clock, caches and memory."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

LOOPS = 8_000_000
ROUNDS = 5


def _spin(together: Any, found: Any) -> None:
    """Add up numbers in pure Python: no memory, no library, no thread."""
    together.wait()
    start = time.perf_counter()
    total = 0
    for number in range(LOOPS):
        total += number
    found.put(time.perf_counter() - start)


def _seconds(processes: int) -> float:
    """Give how long the slowest of so many processes took for the same loop."""
    context = multiprocessing.get_context("spawn")
    together, found = context.Barrier(processes), context.Queue()
    running = [context.Process(target=_spin, args=(together, found)) for _ in range(processes)]
    for process in running:
        process.start()
    seconds = max(found.get() for _ in running)
    for process in running:
        process.join()
    return float(seconds)


def gain_of_two() -> float:
    """Give how much more two processes get done at a time than one: 2 on free cores; shortest of interleaved runs."""
    times = [(_seconds(1), _seconds(2)) for _ in range(ROUNDS)]
    return 2 * min(alone for alone, _ in times) / min(both for _, both in times)
