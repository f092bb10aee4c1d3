"""Takes frames from the source, and opens it again, ever more patiently, when it stalls or disappears."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from vsf_edge.errors import CorruptFrameError, EdgeError, EdgeUsageError, SourceEndError, brief
from vsf_edge.frames import Frame
from vsf_edge.interfaces import Source
from vsf_edge.live.losses import Losses
from vsf_edge.live.notices import Notices
from vsf_edge.live.queues import BoundedQueue, ClosedError
from vsf_edge.live.settings import Backoff, LoopSettings
from vsf_edge.live.statistics import Statistics
from vsf_edge.live.watching import Watch

READ_S = 0.1
"""How long one read waits: stopping takes no longer."""

MOST_CORRUPT = 20
"""So many frames in a row that cannot be read are a camera that must be opened again."""


class Acquisition:
    """The thread that owns the source: everything of it is called from here.

    Parameters
    ----------
    frames
        Where frames go; closed at the end.
    stop
        Set to end.
    fail
        Told of an error after which there is no session: a wrong address or setting.
    paused
        Whether frames are to be dropped.
    """

    def __init__(
        self,
        source: Source,
        frames: BoundedQueue[Frame],
        settings: LoopSettings,
        notices: Notices,
        statistics: Statistics,
        stop: threading.Event,
        fail: Callable[[EdgeError], None],
        paused: Callable[[], bool],
    ) -> None:
        self._source, self._frames, self._settings = source, frames, settings
        self._notices, self._statistics = notices, statistics
        self._stop, self._fail, self._paused = stop, fail, paused
        self._watch = Watch(notices)
        self._losses = Losses(notices, everything=settings.policy == "all")
        self._backoff = Backoff(settings.first_retry_s, settings.last_retry_s)
        self._failed = False
        self._gaps = self._known_lost = 0
        self._last_number: int | None = None
        self.alive_at = time.monotonic()
        """When the source last gave something or nothing; far back where a call of it hangs."""
        self.opening = False
        """Whether the source is being opened, which takes a microscope with its stages a while."""

    def run(self) -> None:
        """Go on until the source ends or is stopped."""
        try:
            while not self._stop.is_set():
                try:
                    self._open()
                    self._gaps, self._known_lost, self._last_number = 0, 0, None
                    self._read_on()
                except (EdgeUsageError, SourceEndError) as error:
                    if isinstance(error, EdgeUsageError):
                        self._fail(error)
                    return
                except ClosedError:
                    return
                except Exception as error:  # a plugin: whatever it raises, the session goes on
                    self._tell_failed(error)
                    self._close()
                    self.alive_at = time.monotonic()
                    self._stop.wait(self._backoff.next())
        finally:
            self._close()
            self._losses.end()
            self._frames.close()

    def _open(self) -> None:
        self.alive_at, self.opening = time.monotonic(), True
        try:
            self._source.open()
        finally:
            self.opening = False

    def _read_on(self) -> None:
        last = time.monotonic()
        stalled, corrupt = False, 0
        while not self._stop.is_set():
            self.alive_at = time.monotonic()
            try:
                frame = self._source.read(READ_S)
                problem = "" if frame is None else self._watch.problem(frame)
            except CorruptFrameError as error:
                frame, problem = None, brief(error)
            if problem:
                last, corrupt = time.monotonic(), corrupt + 1
                self._statistics.drop("corrupt")
                self._notices.tell("warning", "frame-corrupt", f"a frame could not be used: {problem}")
                if corrupt >= MOST_CORRUPT:
                    raise EdgeError(f"{corrupt} frames in a row could not be used")
                continue
            if frame is None:
                quiet = time.monotonic() - last
                if quiet > self._settings.stall_s and not stalled and not self._paused():
                    stalled = True
                    text = f"the source has given no frame for {quiet:.1f} s"
                    if not self._source.live:
                        self._notices.tell("info", "source-idle", f"{text}: waiting for more", always=True)
                        continue
                    self._notices.tell(
                        "warning", "source-stalled", f"{text}: opening it again; is it plugged in?", always=True
                    )
                    raise _StalledError(f"{text}")
                continue
            last, stalled, corrupt = time.monotonic(), False, 0
            if self._failed:
                self._failed = False
                self._notices.tell("info", "source-back", "the source gives frames again", always=True)
            self._backoff.reset()
            self._hand_on(frame)

    def _hand_on(self, frame: Frame) -> None:
        self._statistics.took()
        self._count_lost(frame)
        self._watch.see(frame)
        if self._paused():
            self._statistics.drop("paused")
            return
        try:
            self._queue(frame)
        except ClosedError:
            self._statistics.drop("stopped")
            raise

    def _queue(self, frame: Frame) -> None:
        if self._settings.policy == "latest":
            if self._frames.put_newest(frame) is not None:
                self._statistics.drop("behind")
            return
        while not self._frames.put(frame, READ_S):
            self.alive_at = time.monotonic()
            if self._stop.is_set():
                raise ClosedError

    def _count_lost(self, frame: Frame) -> None:
        """Count frames that the source lost: by gaps in the numbers, or by what it says itself, whichever is more."""
        if self._last_number is not None:
            self._gaps += max(0, frame.number - self._last_number - 1)
        self._last_number = frame.number
        lost = max(self._gaps, self._source.lost())
        new, self._known_lost = lost - self._known_lost, max(lost, self._known_lost)
        if new > 0:
            self._statistics.drop("camera", new)
        self._losses.see(frame.number, max(0, new))

    def _tell_failed(self, error: Exception) -> None:
        if not self._failed and not isinstance(error, _StalledError):
            self._notices.tell(
                "warning",
                "source-lost",
                f"the source failed ({brief(error)}): trying again until it is back",
                always=True,
            )
        elif self._failed:
            self._notices.tell("warning", "source-lost", f"the source is still not back ({brief(error)})")
        self._failed = True

    def _close(self) -> None:
        try:
            self._source.close()
        except Exception as error:  # a plugin
            self._notices.tell("warning", "source-lost", f"the source could not be closed ({brief(error)})")


class _StalledError(EdgeError):
    """It gave nothing for too long, which was told already."""
