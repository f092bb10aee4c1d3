"""Ten thousand frames: memory stays, latency stays, and not one frame is lost unreported."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_doubles import KeepingSink, ScriptedSource, a_frame, drawn_frame

FRAMES = 10_000
WARM = 2_000
BUSY = 1.5
"""A load average per two cores above which latencies say nothing about the loop."""


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which only Linux has")
def test_ten_thousand_frames(make_loop: Callable[..., Any]) -> None:
    load = os.getloadavg()[0] / (os.cpu_count() or 1) * 2
    pictures = itertools.cycle([drawn_frame(seed=seed) for seed in range(4)])

    def endless() -> Iterator[Any]:
        for number in range(FRAMES):
            yield a_frame(number, next(pictures).copy())  # a camera's buffer is new each time

    memory: list[tuple[int, float]] = []
    seen = itertools.count()

    def look(result: Any) -> None:
        assert result.sequence == next(seen)
        if result.sequence % 250 == 0:
            memory.append((result.sequence, resident_mb()))

    class Forgetting(KeepingSink):
        def take(self, result: Any) -> None:
            look(result)

    sink = Forgetting()
    loop = make_loop(ScriptedSource(endless), {"keep": sink}, policy="all")
    loop.run()
    document = loop.statistics.document()
    assert document["results"] + sum(document["dropped"].values()) == document["frames_taken"] == FRAMES
    assert document["dropped"] == {}
    assert not [notice for notice in sink.notices if notice.level == "error"]
    frames, megabytes = np.array([item for item in memory if item[0] >= WARM]).T
    slope = float(np.polyfit(frames, megabytes, 1)[0] * 1000)
    print(f"{slope:.3f} MB per 1000 frames; {document['fps']} fps; {document['latency']}; load {load:.1f}")
    assert slope < 1
    if load > BUSY:
        pytest.skip(f"memory is flat ({slope:.3f} MB per 1000 frames); latencies mean nothing at a load of {load:.1f}")
    assert document["latency"]["p99_ms"] < 2 * document["latency"]["p50_ms"]
