"""``--record FOLDER``: every frame, its stains and its cells, into a new folder per session, safe against any stop.

What is written each half second is a whole recording of everything so far, so that neither SIGKILL nor a full disk
takes more than that; what could not be written is counted, and told in ``session.json``. See docs/recording.md.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import datetime
from itertools import count
from pathlib import Path

from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import FrameResult, LiveSession, Notice
from vsf_edge.locks import locked
from vsf_edge.recording import LOCK
from vsf_edge.recording.growing import FORMATS, GrowingRecording
from vsf_edge.sinks.settings import choice, switch

FLUSHED_EVERY_S = 0.5


class Recording:
    """Records a session.

    Parameters
    ----------
    address
        The folder in which each session gets a folder of its own, named by the time.
    format
        ``ome-zarr`` (0.5) or ``ome-tiff`` (a file per frame).
    dtype
        Of the stains: ``float32`` counts, or ``uint16``, rounded to whole counts at half the size.
    patches
        ``no`` leaves the patches of the cells out (their numbers are in ``cells.csv`` in any case).

    Attributes
    ----------
    folder
        Of this session; None before `start`.
    """

    every = True

    def __init__(
        self,
        address: str = "",
        *,
        format: str = "ome-zarr",  # noqa: A002  (what a user types)
        dtype: str = "float32",
        patches: str | bool = True,
    ) -> None:
        if not address:
            raise EdgeUsageError("a recording needs a folder: --record FOLDER")
        self._root = Path(address)
        self._format = choice("format", format, FORMATS)
        self._dtype = choice("dtype", dtype, ("float32", "uint16"))
        self._patches = switch("patches", patches)
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
                    self.folder, session, kind=self._format, dtype=self._dtype, patches=self._patches
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
