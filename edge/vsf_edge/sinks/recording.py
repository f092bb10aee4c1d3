"""``--record FOLDER``: every frame, its stains and its cells, into a new folder per session, safe against any stop.

What is written each half second is a whole recording of everything so far, so that neither SIGKILL nor a full disk
takes more than that; what could not be written is counted, and told in ``session.json``. See docs/recording.md.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import FrameResult, LiveSession, Notice
from vsf_edge.locks import locked
from vsf_edge.recording import LOCK
from vsf_edge.recording.growing import FORMATS, GrowingRecording
from vsf_edge.settings import read_settings, setting

FLUSHED_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class RecordingSettings:
    """Settings of the sink ``recording``."""

    format: str = setting("ome-zarr", "Of the images: ome-zarr (0.5), or ome-tiff, a file per frame.", choices=FORMATS)
    dtype: str = setting(
        "float32", "Of the stains: counts, or rounded to whole counts at half the size.", choices=("float32", "uint16")
    )
    patches: bool = setting(True, "Record the patches of the cells; their numbers are recorded in any case.")


class Recording:
    """Records a session into a new folder, named by the time, in the folder `address`.

    Attributes
    ----------
    settings
        What may be set.
    folder
        Of this session; None before `start`.
    """

    settings = RecordingSettings
    every = True

    def __init__(self, address: str = "", **given: Any) -> None:
        if not address:
            raise EdgeUsageError("a recording needs a folder: --record FOLDER")
        self._root = Path(address)
        self._set = read_settings(RecordingSettings, given, "sink recording")
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._held = ExitStack()
        self._open: GrowingRecording | None = None
        self.folder: Path | None = None

    def start(self, session: LiveSession) -> None:
        """Make the folder of this session.

        Raises
        ------
        EdgeError
            When another process records into the same place, it cannot be written, or a library is missing.
        """
        with ExitStack() as held:
            held.enter_context(locked(self._root / LOCK, waiting=self._refuse))
            try:
                self.folder = _new_folder(self._root)
                self._open = GrowingRecording(
                    self.folder, session, kind=self._set.format, dtype=self._set.dtype, patches=self._set.patches
                )
            except OSError as error:
                raise EdgeError(f"{self._root} cannot be recorded into: {error.strerror or error}") from error
            self._held = held.pop_all()
        threading.Thread(target=self._keep, name="recording-flush", daemon=True).start()

    def take(self, result: FrameResult) -> None:
        """Record one result; one that cannot be is counted, and an `EdgeError` says so now and then."""
        with self._guard:
            if self._open is not None:
                self._open.take(result)

    def notice(self, notice: Notice) -> None:
        """Record a notice."""
        with self._guard:
            if self._open is not None:
                self._open.notice(notice)

    def stop(self) -> None:
        """Write what is left, and how it ended.

        Raises
        ------
        EdgeError
            When not all of it could be written; it is closed all the same.
        """
        self._ended.set()
        with self._guard, self._held:
            done, self._open = self._open, None
            if done is not None:
                done.close()

    def _refuse(self) -> None:
        raise EdgeError(f"another session is recording into {self._root}: choose another folder, or stop that one")

    def _keep(self) -> None:
        """Write what waits twice a second, also while no frame comes."""
        while not self._ended.wait(FLUSHED_EVERY_S):
            with self._guard:
                if self._open is not None:
                    self._open.flush()


def _new_folder(root: Path) -> Path:
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in count(1):
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")
