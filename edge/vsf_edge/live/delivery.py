"""Last stage: hands results and notices to the sinks, each in a thread of its own, so that a slow one holds up none."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from vsf_edge.errors import EdgeError, brief
from vsf_edge.frames import FrameResult, LiveSession, Notice, Policy
from vsf_edge.interfaces import Sink
from vsf_edge.live.notices import Notices
from vsf_edge.live.queues import BoundedQueue, ClosedError
from vsf_edge.live.statistics import Statistics

WAIT_S = 0.1
MOST_NOTICES = 100
STARTING_S = 30.0
"""A sink that has not started by then ends the session."""


class SinkThread:
    """The thread of one sink: `start`, then `take` and `notice`, then `stop`.

    Parameters
    ----------
    name
        As the user named it.
    awaited
        Whether somebody will `wait_started`, and tell why it could not start.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        session: LiveSession,
        notices: Notices,
        statistics: Statistics,
        waiting: int,
        awaited: bool = False,
    ) -> None:
        self.name, self.sink = name, sink
        self._session, self._notices, self._statistics = session, notices, statistics
        self._results: BoundedQueue[FrameResult] = BoundedQueue(waiting if sink.every else 1)
        self._told: deque[Notice] = deque(maxlen=MOST_NOTICES)
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._started = threading.Event()
        self._awaited = awaited
        self._problem: Exception | None = None
        self._policy: Policy = session.policy

    def __len__(self) -> int:
        return len(self._results)

    @property
    def failed(self) -> bool:
        """Whether it could not be started."""
        return self._problem is not None

    def start(self) -> None:
        """Start it in the background."""
        self._notices.listen(self._told.append)
        self._thread.start()

    def wait_started(self) -> None:
        """Wait until it has started.

        Raises
        ------
        EdgeError
            When it could not.
        """
        if not self._started.wait(STARTING_S):
            raise EdgeError(f"sink {self.name!r} did not start within {STARTING_S:g} s")
        if isinstance(self._problem, EdgeError):
            raise self._problem
        if self._problem is not None:
            raise EdgeError(f"sink {self.name!r} could not start ({brief(self._problem)})") from self._problem

    def give(self, result: FrameResult, stop: Callable[[], bool]) -> None:
        """Hand it one result: the newest one wins, or each is kept; with the policy ``all`` it may hold up the loop."""
        try:
            if not self.sink.every:
                self._results.put_newest(result)
            elif self._policy == "all":
                while not self._results.put(result, WAIT_S):
                    if stop():
                        self._lose("when the session was stopped")
                        return
            elif not self._results.put(result, 0):
                self._lose("because it is too slow for this frame rate")
        except ClosedError:
            pass

    def close(self) -> None:
        """Let it finish in the background: what waits is still taken."""
        self._results.close()

    def join(self, timeout: float) -> bool:
        """Wait until it has stopped; whether it has."""
        self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def _lose(self, why: str) -> None:
        self._statistics.drop(f"sink {self.name}")
        self._notices.tell("error", "result-lost", f"{self.name} lost a result {why}", about=self.name)

    def _run(self) -> None:
        try:
            self.sink.start(self._session)
        except Exception as error:  # a plugin
            self._problem = error
            self._results.close(empty=True)
            if not self._awaited:  # else whoever waits tells it
                self._tell_failed(error, "could not start")
        self._started.set()
        if self._problem is None:
            self._take_on()
        self._notices.forget(self._told.append)
        try:
            self.sink.stop()
        except Exception as error:  # a plugin
            self._tell_failed(error, "could not be closed")

    def _take_on(self) -> None:
        open_ = True
        while open_:
            try:
                result = self._results.get(WAIT_S)
            except ClosedError:
                result, open_ = None, False
            while self._told:
                self._guarded(lambda: self.sink.notice(self._told.popleft()))
            if result is not None and not self._guarded(partial(self.sink.take, result)) and self.sink.every:
                self._statistics.drop(f"sink {self.name}")

    def _guarded(self, act: Callable[[], None]) -> bool:
        try:
            act()
            return True
        except Exception as error:  # a plugin, or a full disk
            self._tell_failed(error, "failed on a result")
            return False

    def _tell_failed(self, error: Exception, what: str) -> None:
        self._notices.tell("error", "sink-failed", f"{self.name} {what}: {brief(error)}", about=self.name)


class Delivery:
    """All sinks of a session; they may come and go while it runs."""

    def __init__(self, notices: Notices, statistics: Statistics, waiting: int) -> None:
        self._notices, self._statistics, self._waiting = notices, statistics, waiting
        self._threads: list[SinkThread] = []
        self._lock = threading.Lock()
        self.newest: FrameResult | None = None

    def add(self, name: str, sink: Sink, session: LiveSession, awaited: bool = False) -> SinkThread:
        """Start a sink in the background, which gets every later result; see `SinkThread` for `awaited`."""
        thread = SinkThread(name, sink, session, self._notices, self._statistics, self._waiting, awaited)
        thread.start()
        with self._lock:
            self._threads = [*self._threads, thread]
        return thread

    def remove(self, thread: SinkThread) -> None:
        """Let a sink finish in the background."""
        with self._lock:
            self._threads = [other for other in self._threads if other is not thread]
        thread.close()

    def give(self, result: FrameResult, stop: Callable[[], bool]) -> None:
        """Hand a result to all."""
        self.newest = result
        for thread in self._threads:
            thread.give(result, stop)

    def queues(self) -> dict[str, int]:
        """Give how many results wait for each sink."""
        return {f"sink {thread.name}": len(thread) for thread in self._threads}

    def close(self, timeout: float) -> None:
        """Let all finish, for at most `timeout` seconds together."""
        with self._lock:
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.close()
        end = time.monotonic() + timeout
        for thread in threads:
            if not thread.join(end - time.monotonic()):
                self._notices.tell(
                    "error", "sink-hangs", f"{thread.name} did not stop in time and was left: its last results are lost"
                )
