"""Second stage: runs the network on patches and tiles; what fails is tried smaller, then with a new engine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.errors import brief
from vsf_edge.halo_tiling import HaloTiling
from vsf_edge.interfaces import Array, Session
from vsf_edge.live.notices import Notices
from vsf_edge.live.parallel import ParallelSession
from vsf_edge.live.queues import ClosedError
from vsf_edge.live.settings import Backoff, LoopSettings
from vsf_edge.live.work import Work
from vsf_edge.manifest import Manifest
from vsf_edge.tiling import Tiling

MOST_AT_ONCE = 16
"""Patches per call of the runtime: more are no faster per patch, and take memory."""


class Staining:
    """Stains one frame's work.

    Parameters
    ----------
    session
        What runs the graph.
    reopen
        Loads it anew; called after failures, at growing intervals.
    stopped
        Whether the session ends; then `ClosedError` leaves a frame half done.
    """

    def __init__(
        self,
        manifest: Manifest,
        session: Session,
        reopen: Callable[[], Session],
        settings: LoopSettings,
        notices: Notices,
        stopped: Callable[[], bool],
    ) -> None:
        self._stopped = stopped
        self._manifest, self._session, self._reopen, self._notices = manifest, session, reopen, notices
        self._batch = self._most = min(MOST_AT_ONCE, manifest.max_batch or MOST_AT_ONCE)
        self._backoff = Backoff(settings.first_retry_s, settings.last_retry_s)
        self._failed = False
        self._retry_at = 0.0

    def __call__(self, work: Work) -> None:
        """Fill in the outputs and the stained field; `Work.problem` where the runtime failed."""
        if work.problem:
            return
        if self._failed and not self._opened_again():
            work.problem = "the runtime failed, and is opened again soon"
            return
        asked = work.tiling is not None or (work.patches is not None and len(work.patches) > 0)
        try:
            if work.patches is not None and len(work.patches):
                with work.timed("stain"):
                    self._take(work, list(self._run(work.patches)))
            if work.tiling is not None:
                self._stain_field(work, work.tiling)
            if self._failed and asked:
                self._failed = False
                self._notices.tell("info", "runtime-back", "the runtime works again", always=True)
            self._backoff.reset()
        except ClosedError:
            raise
        except Exception as error:  # a runtime: its exceptions have no common base
            work.stains, work.values, work.field_stains = (), {}, None
            work.problem = f"the runtime failed ({brief(error)})"
            self._notices.tell(
                "error", "runtime-failed", f"{work.problem}: frames go on unstained until it works again"
            )
            self._failed = True
            self._retry_at = time.monotonic() + self._backoff.next()

    def _take(self, work: Work, parts: Sequence[Mapping[str, Array]]) -> None:
        """Keep what the graph gave in several parts: the stains as they are, without a copy."""
        stains = self._manifest.stains_output
        work.stains = [stain for part in parts for stain in part[stains]]
        work.values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != stains}

    def _stain_field(self, work: Work, tiling: Tiling | HaloTiling) -> None:
        """Cut, stain and blend all tiles; the stage ``blend`` is what that takes beside the network."""
        field = tiling.padded(work.frame.pixels)
        start = time.perf_counter()
        beside: list[float] = []
        if isinstance(self._session, ParallelSession):
            work.field_stains = tiling.blend(self._tile_by_tile(self._session, field, tiling, beside))
        else:
            work.field_stains = tiling.blend(self._tiles_in_batches(field, tiling, beside))
        whole, blend = 1000 * (time.perf_counter() - start), 1000 * sum(beside)
        work.stages_ms["stain"] = work.stages_ms.get("stain", 0.0) + whole - blend
        work.stages_ms["blend"] = blend

    def _tile_by_tile(
        self, session: ParallelSession, field: npt.NDArray[Any], tiling: Tiling | HaloTiling, beside: list[float]
    ) -> Iterator[Array]:
        """Cut, stain and shrink each tile on a core of its own.

        `beside` gets each core's share of the seconds that is not spent in the network, and those after the last tile.
        """

        def act(session: Session, index: int) -> tuple[Array, float]:
            start = time.perf_counter()
            tile = np.empty((1, 1, *tiling.part), field.dtype)
            tiling.cut(field, tile, index)
            cut = time.perf_counter()
            stains = session.run(tile)[self._manifest.stains_output][0]
            stained = time.perf_counter()
            return tiling.shrunk(stains, index), cut - start + time.perf_counter() - stained

        last = time.perf_counter()
        for shrunk, seconds in session.each(act, len(tiling)):
            last = time.perf_counter()
            beside.append(seconds / session.workers)
            yield shrunk
            self._check_stopped()
        beside.append(time.perf_counter() - last)

    def _tiles_in_batches(
        self, field: npt.NDArray[Any], tiling: Tiling | HaloTiling, beside: list[float]
    ) -> Iterator[Array]:
        places = itertools.count()
        first, last = 0, time.perf_counter()
        while first < len(tiling):
            most = 1 if isinstance(tiling, HaloTiling) else self._batch  # its parts are as large as many patches
            tiles = np.empty((min(most, len(tiling) - first), 1, *tiling.part), field.dtype)
            tiling.cut(field, tiles, first)
            beside.append(time.perf_counter() - last)
            for outputs in self._run(tiles):
                last = time.perf_counter()
                yield from map(tiling.shrunk, outputs[self._manifest.stains_output], places)
                beside.append(time.perf_counter() - last)
            first, last = first + len(tiles), time.perf_counter()

    def _run(self, patches: npt.NDArray[Any]) -> Iterator[Mapping[str, Array]]:
        """Run `patches` [N, 1, size, size] in parts; a part that fails is tried at half its size, and remembered."""
        if isinstance(self._session, ParallelSession) and len(patches) > 1:

            def act(session: Session, index: int) -> Mapping[str, Array]:
                return session.run(patches[index : index + 1])

            for outputs in self._session.each(act, len(patches)):
                yield outputs
                self._check_stopped()
            return
        start, most = 0, self._batch
        while start < len(patches):
            self._check_stopped()
            part = patches[start : start + most]
            try:
                outputs = self._session.run(part)
            except Exception as error:
                if len(part) == 1:
                    raise
                most, problem = max(1, len(part) // 2), brief(error)
                continue
            if most < self._batch:  # the card was full, for example
                self._notices.tell(
                    "warning",
                    "smaller-batches",
                    f"the runtime failed on {self._batch} patches at once ({problem}): from now on {most} at most",
                    always=True,
                )
                self._batch = most
            start += len(part)
            yield outputs

    def _check_stopped(self) -> None:
        """Leave a frame half stained when the session ends: a whole field may take longer than stopping may."""
        if self._stopped():
            raise ClosedError

    def _opened_again(self) -> bool:
        """Load the graph anew when it is time; whether there is something to try."""
        if time.monotonic() < self._retry_at:
            return False
        try:
            if isinstance(self._session, ParallelSession):
                self._session.close()
            self._session = self._reopen()
            self._batch = self._most
        except Exception as error:  # a runtime
            self._notices.tell("error", "runtime-failed", f"the runtime cannot be opened again ({brief(error)})")
            self._retry_at = time.monotonic() + self._backoff.next()
            return False
        return True
