"""Numbers of a live session in constant memory: latency and stages as percentiles, frames, drops by reason."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from vsf_edge.frames import FrameResult

SMALLEST_MS, STEP, BINS = 0.001, 1.01, 2100
"""Bins one per cent wide, from a microsecond to over half an hour."""

MOST_PROBLEMS = 5
"""So many different reasons are counted, however many there are."""


class Durations:
    """Counts durations in bins that are one per cent wide, so that a percentile is right to one per cent."""

    def __init__(self) -> None:
        self._counts = np.zeros(BINS, np.int64)
        self.count = 0
        self.total_ms = 0.0
        self.longest_ms = 0.0

    def add(self, ms: float) -> None:
        """Count one."""
        place = int(math.log(max(ms, SMALLEST_MS) / SMALLEST_MS) / math.log(STEP))
        self._counts[min(place, BINS - 1)] += 1
        self.count += 1
        self.total_ms += ms
        self.longest_ms = max(self.longest_ms, ms)

    def percentile(self, percent: float) -> float:
        """Give the duration in milliseconds that `percent` of them do not exceed; NaN where there is none."""
        if not self.count:
            return math.nan
        rank = math.ceil(self.count * percent / 100)
        place = int(np.searchsorted(np.cumsum(self._counts), max(rank, 1)))
        return min(float(SMALLEST_MS * STEP ** (place + 0.5)), self.longest_ms)

    def document(self) -> dict[str, float | int | None]:
        """Give the usual percentiles as JSON values."""
        values = {f"p{percent}_ms": self.percentile(percent) for percent in (50, 95, 99)}
        values["mean_ms"] = self.total_ms / self.count if self.count else math.nan
        values["max_ms"] = self.longest_ms if self.count else math.nan
        return {"count": self.count, **{name: _rounded(value) for name, value in values.items()}}


class Statistics:
    """What happened so far; any thread may add to it or read it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.latency = Durations()
        self.stages: dict[str, Durations] = {}
        self.dropped: dict[str, int] = {}
        self.notices: dict[str, int] = {}
        self.queues: dict[str, int] = {}
        self.taken = self.results = self.unstained = self.cells = self.abstained = 0
        self.problems: dict[str, int] = {}
        self._first = self._last = math.nan

    def took(self) -> None:
        """Count a frame that the source gave."""
        with self._lock:
            self.taken += 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Count frames that were lost."""
        with self._lock:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def note(self, kind: str) -> None:
        """Count a notice."""
        with self._lock:
            self.notices[kind] = self.notices.get(kind, 0) + 1

    def drops(self) -> dict[str, int]:
        """Give a copy of how many frames were lost, by reason."""
        with self._lock:
            return dict(self.dropped)

    def add(self, result: FrameResult) -> None:
        """Count a result."""
        with self._lock:
            now = time.monotonic()
            if not self.results:
                self._first = now
            self._last = now
            self.results += 1
            if result.problem:
                self.unstained += 1
                if result.problem in self.problems or len(self.problems) < MOST_PROBLEMS:
                    self.problems[result.problem] = self.problems.get(result.problem, 0) + 1
            self.cells += len(result.cells)
            self.abstained += sum(bool(cell.abstained) for cell in result.cells)
            self.latency.add(result.latency_ms)
            self.queues = dict(result.queues)
            for name, ms in result.stages_ms.items():
                self.stages.setdefault(name, Durations()).add(ms)

    def fps(self) -> float:
        """Give the results per second from the first to the last one; NaN below two."""
        with self._lock:
            span = self._last - self._first
            return (self.results - 1) / span if self.results > 1 and span > 0 else math.nan

    def document(self) -> dict[str, Any]:
        """Give the summary as JSON values."""
        fps = self.fps()
        with self._lock:
            return {
                "frames_taken": self.taken,
                "results": self.results,
                "fps": _rounded(fps),
                "not_stained": self.unstained,
                "not_stained_because": dict(self.problems),
                "cells": self.cells,
                "cells_abstained": self.abstained,
                "dropped": dict(self.dropped),
                "notices": dict(self.notices),
                "latency": self.latency.document(),
                "stages": {name: durations.document() for name, durations in self.stages.items()},
            }


def lines(document: Mapping[str, Any]) -> list[str]:
    """Give a summary in words, a line each."""
    latency = document["latency"]
    found = [f"{document['results']} of {document['frames_taken']} frames came out"]
    if document["fps"] is not None:
        found[0] += f", {document['fps']:.1f} per second"
    if document["not_stained"]:
        found[0] += f", {document['not_stained']} of them not stained"
        found += [f"  {count} not stained: {problem}" for problem, count in document["not_stained_because"].items()]
    if latency["count"]:
        found.append(f"capture to result: {_percentiles(latency)}")
        found += [f"  {name}: {_percentiles(stage)}" for name, stage in document["stages"].items()]
    found.append(f"{document['cells']} cells seen, {document['cells_abstained']} of them abstained")
    lost = ", ".join(f"{count} {reason}" for reason, count in sorted(document["dropped"].items()))
    found.append(f"dropped: {lost or 'none'}")
    return found


def _percentiles(values: Mapping[str, Any]) -> str:
    return f"p50 {values['p50_ms']:.1f} ms, p95 {values['p95_ms']:.1f} ms, p99 {values['p99_ms']:.1f} ms"


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.4g}")
