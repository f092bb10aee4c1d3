"""Makes one message of the newest result, for everybody who waits for one: nothing is made while nobody does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor

from vsf_edge.errors import EdgeError
from vsf_edge.frames import FrameResult

Make = Callable[[FrameResult, frozenset[int]], bytes]


class Broadcast:
    """The newest message, and those who wait for the next; everything but `make` runs in one event loop.

    Results that come while one is made, or sooner than `interval`, are overtaken by the newest.

    Parameters
    ----------
    make
        Makes the message of a result with the crops of the tracks that somebody selected; runs in `executor`.
    executor
        Of one thread.
    interval
        Seconds from one message to the next at least.
    failed
        Told what `make` raised.
    """

    def __init__(self, make: Make, executor: Executor, interval: float, failed: Callable[[Exception], None]) -> None:
        self._make, self._executor, self._interval, self._failed = make, executor, interval, failed
        self._newest: FrameResult | None = None
        self._message, self._serial = b"", 0
        self._selected: dict[object, int] = {}
        self._covered: frozenset[int] = frozenset()
        self._stale = False
        self._waiting = 0
        self._ended = False
        self._wake = asyncio.Event()
        self._made = asyncio.Event()

    def offer(self, result: FrameResult) -> None:
        """Take a newer result."""
        self._newest, self._stale = result, True
        self._wake.set()

    def select(self, who: object, track: int | None) -> None:
        """Say which track's crop `who` looks at."""
        if track is None:
            self._selected.pop(who, None)
        else:
            self._selected[who] = track
            if track not in self._covered and self._newest is not None:
                self._stale = True
                self._wake.set()

    async def next(self, after: int) -> tuple[int, bytes]:
        """Wait for a message that is newer than number `after` (0: any) and not overtaken; gives number and message.

        Raises
        ------
        EdgeError
            When the session has ended.
        """
        if self._stale:
            after = max(after, self._serial)
        self._waiting += 1
        self._wake.set()
        try:
            while self._serial <= after and not self._ended:
                await self._made.wait()
        finally:
            self._waiting -= 1
        if self._ended:
            raise EdgeError("the session has ended")
        return self._serial, self._message

    def end(self) -> None:
        """Let everybody who waits go."""
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        """Wake everybody who waits now; who comes later waits for the next one."""
        made, self._made = self._made, asyncio.Event()
        made.set()

    async def run(self) -> None:
        """Make messages until cancelled."""
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._stale or not self._waiting or self._newest is None:
                continue
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = time.monotonic() + self._interval
            self._stale, self._covered = False, frozenset(self._selected.values())
            try:
                message = await loop.run_in_executor(self._executor, self._make, self._newest, self._covered)
            except Exception as error:
                self._failed(error)
                continue
            self._message, self._serial = message, self._serial + 1
            self._tell()
            if self._stale:
                self._wake.set()
