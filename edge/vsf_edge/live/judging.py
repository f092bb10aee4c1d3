"""Asks the gates about the cells of a frame while the network stains them: both need the patches only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from vsf_edge.live.work import Work
from vsf_edge.trust import TrustTable


class Judging:
    """A thread that judges one frame after the other; without a `table` it does nothing."""

    def __init__(self, table: TrustTable | None) -> None:
        self._table = table
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="judge")

    def begin(self, work: Work) -> None:
        """Start judging the patches of `work`; its `verdicts` are there when somebody asks for their result."""
        if self._table is not None and work.patches is not None and len(work.patches) and not work.problem:
            work.verdicts = self._pool.submit(self._table.judge, work.patches)

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
