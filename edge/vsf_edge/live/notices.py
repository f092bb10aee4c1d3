"""What a user should know goes to every sink, the log and the terminal; the same thing not all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from vsf_edge.frames import Notice

AGAIN_S = 5.0
"""A notice of the same kind about the same thing is held back for so long; then it says how many there were."""

Level = Literal["info", "warning", "error"]


class Notices:
    """Makes notices and hands them on; any thread may tell one."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Notice], None]] = []
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], int] = {}

    def listen(self, listener: Callable[[Notice], None]) -> None:
        """Hand every later notice to `listener`, which must return at once."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

    def forget(self, listener: Callable[[Notice], None]) -> None:
        """Hand nothing more to `listener`."""
        with self._lock:
            self._listeners = [other for other in self._listeners if other != listener]

    def tell(self, level: Level, kind: str, text: str, about: str = "", always: bool = False) -> None:
        """Tell `text`; the same `kind` `about` the same thing at most every :data:`AGAIN_S`, unless `always`."""
        now = time.monotonic()
        key = (kind, about)
        with self._lock:
            if not always and now - self._last.get(key, -AGAIN_S) < AGAIN_S:
                self._held[key] = self._held.get(key, 0) + 1
                return
            self._last[key] = now
            held = self._held.pop(key, 0)
            listeners = self._listeners
        if held:
            text = f"{text} ({held} more like this since the last time)"
        notice = Notice(level=level, kind=kind, text=text, time=time.time())
        for listener in listeners:
            listener(notice)
