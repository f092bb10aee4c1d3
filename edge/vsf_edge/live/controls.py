"""What a display may ask of a session: pause, record, save a snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from vsf_edge.errors import EdgeError
from vsf_edge.frames import LiveSession
from vsf_edge.interfaces import Sink
from vsf_edge.live.delivery import Delivery, SinkThread
from vsf_edge.live.notices import Notices

SNAPSHOTS = "snapshots"


class SessionControls:
    """The controls of a session; see :class:`vsf_edge.frames.Controls`.

    Parameters
    ----------
    folder
        Where recordings and snapshots go.
    make_recording
        Builds the sink that records into a folder.
    """

    def __init__(
        self, delivery: Delivery, notices: Notices, folder: Path, make_recording: Callable[[Path], Sink]
    ) -> None:
        self._delivery, self._notices = delivery, notices
        self._folder, self._make = folder, make_recording
        self._paused = threading.Event()
        self._lock = threading.Lock()
        self._recording: SinkThread | None = None
        self._session: LiveSession | None = None

    def begin(self, session: LiveSession, recording: SinkThread | None = None) -> None:
        """Take what is recorded from the start."""
        self._session, self._recording = session, recording

    @property
    def paused(self) -> bool:
        """Whether frames are taken and dropped."""
        return self._paused.is_set()

    @property
    def recording(self) -> Path | None:
        """The folder that is recorded into, or None."""
        thread = self._recording
        return None if thread is None or thread.failed else _folder_of(thread.sink, self._folder)

    def pause(self, on: bool) -> None:
        """Stop or go on staining."""
        if on != self.paused:
            (self._paused.set if on else self._paused.clear)()
            self._notices.tell("info", "paused" if on else "resumed", "paused" if on else "going on", always=True)

    def record(self, on: bool) -> str:
        """Start or stop recording; says where, or why not."""
        with self._lock:
            running = self._recording if self.recording is not None else None
            if on and running is not None:
                return f"already recording into {self.recording}"
            if not on and running is None:
                return "nothing is being recorded"
            if running is not None:
                where = self.recording
                self._delivery.remove(running)
                self._recording = None
                return f"recorded into {where}"
            if self._session is None:
                return "the session has not started yet"
            try:
                sink = self._make(self._folder)
            except EdgeError as error:
                return f"not recording: {error}"
            self._recording = self._delivery.add("recording", sink, self._session)
            return f"recording into a new folder of {self._folder}"

    def snapshot(self) -> str:
        """Save the newest result; says where, or why not."""
        result, session = self._delivery.newest, self._session
        if result is None or session is None:
            return "there is nothing to save yet"
        folder = self._folder / SNAPSHOTS / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        try:
            sink = self._make(folder)
        except EdgeError as error:
            return f"not saved: {error}"

        def save() -> None:
            try:
                sink.start(session)
                try:
                    sink.take(result)
                finally:
                    sink.stop()
            except Exception as error:  # a plugin, or a full disk
                self._notices.tell("error", "snapshot-failed", f"the snapshot was not saved: {error}", always=True)

        threading.Thread(target=save, name="snapshot", daemon=True).start()
        return f"saving into {folder}"


def _folder_of(sink: Sink, otherwise: Path) -> Path:
    """Give the folder of a running recording: its own one for this session, once it has made it."""
    folder = getattr(sink, "folder", None)
    return folder if isinstance(folder, Path) else otherwise
