"""Runs several patches at once on a processor, each on one core: no core ever waits for another one.

A runtime that spreads one patch over all cores makes them wait for each other after every layer. Where other threads
work too (the other stages, the display, the recording), that costs two to three times the time; see docs/live.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from vsf_edge.interfaces import Array, Counts, Session

T = TypeVar("T")


class ParallelSession:
    """A session for one patch, and another that several threads share for many.

    Parameters
    ----------
    alone
        Runs a single patch on all cores.
    shared
        Opened with a plan of `workers` streams.
    """

    def __init__(self, alone: Session, shared: Session, workers: int) -> None:
        self.workers = workers
        self._alone, self._shared = alone, shared
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="network")

    def run(self, brightfield: Counts) -> Mapping[str, Array]:
        """Stain `brightfield` [N, C, H, W] in counts, on all cores together."""
        return self._alone.run(brightfield)

    def close(self) -> None:
        """Begin nothing more; what runs goes on in the background."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def each(self, act: Callable[[Session, int], T], count: int) -> Iterator[T]:
        """Give ``act(session, index)`` for each index below `count`, each on a core of its own; in order, as they come.

        What has not begun when the caller stops asking, or when one fails, is not done.
        """
        running: Sequence[Future[T]] = [self._pool.submit(act, self._shared, index) for index in range(count)]
        try:
            for future in running:
                yield future.result()
        finally:
            for future in running:
                future.cancel()
