"""Third stage: quantities, gates and intervals of every cell, its identity, and its steady readout."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsf_edge.errors import brief
from vsf_edge.frames import FrameResult, LiveCell, Readout
from vsf_edge.live.notices import Notices
from vsf_edge.live.statistics import Statistics
from vsf_edge.live.work import Work
from vsf_edge.manifest import Manifest
from vsf_edge.steady import SteadyValue
from vsf_edge.tracking import Tracker
from vsf_edge.trust import TrustTable

UNKNOWN = Readout(value=math.nan, low=math.nan, high=math.nan, frames=0)


@dataclass(frozen=True)
class _Measured:
    """What was measured on the cells of a frame: readouts by quantity per cell, and why each must not be used."""

    quantities: list[dict[str, Readout]]
    abstained: list[str]


class Measuring:
    """Turns work into a result.

    Parameters
    ----------
    table
        The trust table of the bundle; None where it has none, and then values have no interval.
    queues
        Gives how many items wait in each queue.
    """

    def __init__(
        self,
        manifest: Manifest,
        table: TrustTable | None,
        notices: Notices,
        statistics: Statistics,
        queues: Callable[[], Mapping[str, int]],
    ) -> None:
        self._manifest, self._table, self._notices = manifest, table, notices
        self._statistics, self._queues = statistics, queues
        self._tracker = Tracker()
        self._steady: dict[int, dict[str, SteadyValue]] = {}
        self._shape: tuple[int, ...] = ()
        self._sequence = 0

    def __call__(self, work: Work) -> FrameResult:
        """Give the result of `work`."""
        with work.timed("quantify"):
            measured = self._measure(work)
        with work.timed("track"):
            cells = self._cells(work, measured)
        complete = time.monotonic()
        latency = max(0.0, 1000 * (complete - work.frame.captured))
        spent = sum(work.stages_ms.values())
        result = FrameResult(
            frame=work.frame,
            sequence=self._sequence,
            cells=cells,
            stains=work.field_stains,
            problem=work.problem,
            latency_ms=latency,
            stages_ms={**work.stages_ms, "wait": max(0.0, latency - spent)},
            queues=dict(self._queues()),
            dropped=self._statistics.drops(),
        )
        self._sequence += 1
        return result

    def _measure(self, work: Work) -> _Measured:
        names = [quantity.name for quantity in self._manifest.quantities]
        count = len(work.heads)
        if not count or not work.stains or work.patches is None:
            return _Measured([dict.fromkeys(names, UNKNOWN) for _ in range(count)], [work.problem] * count)
        values = {
            quantity.name: np.asarray(work.values[quantity.output], np.float64)
            for quantity in self._manifest.quantities
        }
        abstained = [""] * count
        unknown = np.full(count, np.nan)
        ends = dict.fromkeys(names, (unknown, unknown))
        if self._table is not None:
            try:
                verdicts = self._table.judge(work.patches) if work.verdicts is None else work.verdicts.result()
                abstained = list(verdicts.reasons)
                ends = {name: self._table.intervals(name, values[name], verdicts)[:2] for name in names}
            except Exception as error:  # a gate of another package
                self._notices.tell("error", "gates-failed", f"the gates failed ({brief(error)}): no cell gets a number")
                abstained = [f"the gates failed ({brief(error)})"] * count
        rows = [_readouts(values, ends, index) for index in range(count)]
        for index, row in enumerate(rows):
            if not abstained[index] and any(math.isnan(readout.value) for readout in row.values()):
                abstained[index] = "it has no value: nothing in it was stained"
        return _Measured(rows, abstained)

    def _cells(self, work: Work, measured: _Measured) -> tuple[LiveCell, ...]:
        if work.frame.pixels.shape != self._shape:  # places of before mean nothing now
            self._shape = work.frame.pixels.shape
            self._tracker.forget()
        numbers = self._tracker.update(work.heads, work.frame.captured)
        alive = self._tracker.alive
        self._steady = {number: values for number, values in self._steady.items() if number in alive}
        stains = work.stains
        if not len(stains) and work.patches is not None:
            shape = (len(self._manifest.stains), *work.patches.shape[2:])
            stains = [np.zeros(shape, np.float32) for _ in work.heads]
        cells = []
        for index, (head, number) in enumerate(zip(work.heads, numbers, strict=True)):
            assert work.patches is not None
            cells.append(
                LiveCell(
                    track=number,
                    detection=head,
                    brightfield=work.patches[index, 0],
                    stains=stains[index],
                    quantities=measured.quantities[index],
                    steady=self._steadied(number, measured.quantities[index], measured.abstained[index]),
                    abstained=measured.abstained[index],
                )
            )
        return tuple(cells)

    def _steadied(self, number: int, now: Mapping[str, Readout], abstained: str) -> dict[str, Readout]:
        coverage = 0.9 if self._table is None else self._table.coverage
        sums = self._steady.setdefault(number, {name: SteadyValue(coverage) for name in now})
        if not abstained:
            for name, readout in now.items():
                sums[name].add(readout)
        return {name: value.readout() for name, value in sums.items()}


def _readouts(
    values: Mapping[str, npt.NDArray[np.float64]],
    ends: Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]],
    index: int,
) -> dict[str, Readout]:
    return {
        name: Readout(
            value=float(found[index]), low=float(ends[name][0][index]), high=float(ends[name][1][index]), frames=1
        )
        for name, found in values.items()
    }
