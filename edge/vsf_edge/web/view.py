"""The state of the live view: what the sink was given, who looks on, and what they are told."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from vsf_edge.errors import EdgeError, brief
from vsf_edge.frames import FrameResult, LiveSession, Notice
from vsf_edge.web.annotating import annotate
from vsf_edge.web.broadcast import Broadcast
from vsf_edge.web.describing import describe_frame, describe_session
from vsf_edge.web.messages import notice_entry, pack
from vsf_edge.web.painting import Painter, jpeg
from vsf_edge.web.tally import Tally

KEPT_NOTICES = 50
SILENCE = 5.0
"""Seconds without a result after which the view says that nothing comes."""

ERROR_LASTS = 60.0
"""Seconds that an error (a recording that failed) makes the session unwell."""

RATE_OVER = 2.0
"""Seconds over which the rate of results is measured."""

LOOK_AT_CONTROLS = 0.25
"""Seconds from one look at the controls (somebody else may pause) to the next."""


FAREWELL = 0.2
"""Seconds that the pages have to go when the session ends."""


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """How much is shown to how many: pixels, frames per second, clients, seconds of patience, ends of a ratio."""

    side: int = 1024
    fps: float = 15.0
    clients: int = 16
    patience: float = 20.0
    ratio: tuple[float, float] = (0.0, 0.3)


class Watcher(Protocol):
    """Somebody who is told texts beside the frames."""

    def tell(self, text: dict[str, Any]) -> None:
        """Take a text to be sent soon."""


class View:
    """What one session shows.

    `take`, `notice` and `end` may be called from any thread, everything else from the event loop that `run` runs in.

    Attributes
    ----------
    page, motion
        The frames of the page, and of the stream of pictures for where no script runs.
    watchers
        Pages that are told notices and the state of the controls.
    ended
        Set when everybody is to go.
    painted
        Told how many seconds a message took; for the metrics.
    """

    def __init__(self, session: LiveSession, settings: ViewSettings) -> None:
        self.session, self.settings = session, settings
        self.watchers: set[Watcher] = set()
        self.ended = asyncio.Event()
        self.places = settings.clients
        self._identity = secrets.token_hex(8)
        self.painted: Callable[[float], None] = lambda seconds: None
        self._painter = Painter(session.manifest, settings.side)
        self._tally = Tally(session.manifest.quantities, settings.ratio)
        self._names = [quantity.name for quantity in session.manifest.quantities]
        self._executor = ThreadPoolExecutor(1, "vsf-live-paint")
        self.page = Broadcast(self._make_page, self._executor, 1 / settings.fps, self._failed)
        self.motion = Broadcast(self._make_motion, self._executor, 1 / settings.fps, self._failed)
        self._notices: deque[dict[str, Any]] = deque(maxlen=KEPT_NOTICES)
        self._stalled = ""
        self._error = (-math.inf, "")
        self._recent: deque[tuple[float, int]] = deque()
        self._newest: FrameResult | None = None
        self._taken = self._started = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state: dict[str, Any] = {}

    # ------------------------------------------------------------------------------------------ from the sink's thread

    def take(self, result: FrameResult) -> None:
        """Take a result."""
        self._tally.add(result.cells)
        self._in_loop(self._offer, result)

    def notice(self, notice: Notice) -> None:
        """Take something that a user should know."""
        self._in_loop(self._note, notice)

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def end(self) -> None:
        """Let everybody go; takes at most `FAREWELL`."""
        if self._loop is not None and not self._loop.is_closed():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(2 * FAREWELL)

    # ----------------------------------------------------------------------------------------------- in the event loop

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; `ready` is called when results are taken."""
        self._loop = asyncio.get_running_loop()
        self._state = self.state()
        ready()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.page.run())
                tasks.create_task(self.motion.run())
                tasks.create_task(self._look_at_controls())
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _end(self) -> None:
        self.ended.set()
        self.page.end()
        self.motion.end()
        for _ in range(10):
            if not self.watchers:
                break
            await asyncio.sleep(FAREWELL / 10)

    def hello(self) -> dict[str, Any]:
        """Give what a page is told first."""
        return {
            "type": "hello",
            "session": self._identity,
            **describe_session(self.session, self.settings.fps),
            "state": self.state(),
            "notices": list(self._notices),
        }

    def state(self) -> dict[str, Any]:
        """Give the state of the controls."""
        controls = self.session.controls
        recording = controls.recording
        return {"paused": controls.paused, "recording": None if recording is None else str(recording)}

    def tell_state(self) -> None:
        """Tell everybody the state of the controls where it changed."""
        state = self.state()
        if state != self._state:
            self._state = state
            self._tell({"type": "state", **state})

    def health(self) -> tuple[str, str]:
        """Give ``ok`` or ``degraded``, and why."""
        if self.session.controls.paused:
            return "ok", "paused"
        if self._stalled:
            return "degraded", self._stalled
        silence = time.monotonic() - self._taken
        if silence > SILENCE:
            return "degraded", f"no frame for {silence:.0f} s: look at the source {self.session.source}"
        if self._newest is not None and self._newest.problem:
            return "degraded", self._newest.problem
        when, text = self._error
        if time.monotonic() - when < ERROR_LASTS:
            return "degraded", text
        return "ok", ""

    @property
    def rate(self) -> float:
        """Results per second."""
        if len(self._recent) < 2:
            return 0.0
        (first, from_sequence), (last, to_sequence) = self._recent[0], self._recent[-1]
        return (to_sequence - from_sequence) / (last - first) if last > first else 0.0

    def _offer(self, result: FrameResult) -> None:
        self._newest, self._taken = result, time.monotonic()
        self._stalled = ""
        self._recent.append((self._taken, result.sequence))
        while self._taken - self._recent[0][0] > RATE_OVER:
            self._recent.popleft()
        self.page.offer(result)
        self.motion.offer(result)

    def _note(self, notice: Notice) -> None:
        if notice.kind == "source-back":
            self._stalled = ""
        elif notice.kind.startswith("source-") and notice.level != "info":
            self._stalled = notice.text
        elif notice.level == "error":
            self._error = (time.monotonic(), notice.text)
        entry = notice_entry(notice)
        self._notices.append(entry)
        self._tell({"type": "notice", **entry})

    def _tell(self, text: dict[str, Any]) -> None:
        for watcher in tuple(self.watchers):
            watcher.tell(text)

    async def _look_at_controls(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AT_CONTROLS)
            self.tell_state()

    def _failed(self, error: Exception) -> None:
        text = f"a frame could not be shown ({type(error).__name__}: {brief(error)}); the session goes on"
        if not self._notices or self._notices[-1]["text"] != text:
            self._note(Notice(level="error", kind="view-failed", text=text, time=time.time()))

    # ----------------------------------------------------------------------------------------- in the painter's thread

    def _make_page(self, result: FrameResult, selected: frozenset[int]) -> bytes:
        start = time.perf_counter()
        pictures = self._painter.paint(result, selected)
        header = describe_frame(result, self._painter, self._tally, self.rate, self._names)
        header["painted_ms"] = round(1000 * (time.perf_counter() - start), 2)
        message = pack(header, pictures)
        self.painted(time.perf_counter() - start)
        return message

    def _make_motion(self, result: FrameResult, _: frozenset[int]) -> bytes:
        start = time.perf_counter()
        scales = {name: self._tally.scale(name) for name in self._names}
        content = jpeg(annotate(result, self.session, self._painter, scales))
        self.painted(time.perf_counter() - start)
        return content

    async def picture(self) -> bytes:
        """Give the newest frame as one annotated JPEG.

        Raises
        ------
        EdgeError
            When there is none yet.
        """
        if self._newest is None:
            raise EdgeError("there is no frame yet: ask again when the source has given one")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._make_motion, self._newest, frozenset())
