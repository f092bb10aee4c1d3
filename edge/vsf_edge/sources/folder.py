"""A folder that the microscope's software writes images into: ``--source folder:FOLDER``."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from vsf_edge.errors import CorruptFrameError, EdgeError, EdgeUsageError, brief
from vsf_edge.frames import Frame, Pixels
from vsf_edge.images import SUFFIXES, read_pages
from vsf_edge.settings import read_settings, setting
from vsf_edge.sources.image_files import BIT_DEPTH_TEXT, PIXEL_SIZE_TEXT, frame_of, natural

_TRY_AGAIN_S = 1.0  # a file that cannot be read is tried so often until it is given up


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """What can be set about a watched folder."""

    pattern: str = setting("*", "Which file names are taken, such as img_*_BF.tif.")
    existing: bool = setting(False, "Take also the images that are there already, oldest first.")
    poll: float = setting(0.05, "Look so often, in seconds.", low=0.001, high=60)
    settle: float = setting(0.2, "A file is whole when it has not changed for so many seconds.", low=0, high=60)
    give_up: float = setting(10.0, "A file that stays unreadable for so many seconds is reported.", low=0, high=3600)
    bit_depth: int = setting(0, BIT_DEPTH_TEXT, low=0, high=16)
    pixel_size_um: float = setting(0.0, PIXEL_SIZE_TEXT, low=0, high=1000)


@dataclass
class _Arrival:
    """A file that is not yet read: its size and time of change, since when they are so, and when to try it."""

    path: Path
    state: tuple[int, int]
    since: float
    try_at: float = field(default=0.0)


class Folder:
    """A watched folder; a source of kind ``folder``.

    Every image file that appears in the folder ADDRESS (not below it) is read once, when it has stopped changing and
    can be read whole; each of its pages is a frame. The folder is looked at again and again rather than subscribed to,
    which works on network drives as well. Files that arrive together come in the order of their time of change.
    When the folder vanishes, it is waited for; files that were read before are not read again when it is back.
    """

    settings = FolderSettings

    def __init__(self, address: str = "", **given: object) -> None:
        self._set = read_settings(FolderSettings, given, "source folder")
        self._address = address
        self._folder = Path(address)
        self._known: set[str] | None = None
        self._arriving: dict[str, _Arrival] = {}
        self._waiting: deque[tuple[Path, int, Pixels, float]] = deque()
        self._number = 0
        self._look_at = 0.0

    @property
    def live(self) -> bool:
        """False: files wait."""
        return False

    def open(self) -> None:
        """Look what is there already."""
        if self._known is None:
            if not self._address:
                raise EdgeUsageError("source folder needs a folder to watch: --source folder:FOLDER")
            if not self._folder.is_dir():
                raise EdgeUsageError(f"there is no folder {self._address!r} to watch: make it, or give another one")
            self._known = set() if self._set.existing else set(self._names())
        self._names()
        self._arriving.clear()
        self._number, self._look_at = 0, 0.0

    def read(self, timeout: float) -> Frame | None:
        """Give the next image that has arrived whole."""
        until = time.monotonic() + timeout
        while not self._waiting:
            now = time.monotonic()
            if now >= self._look_at:
                self._look(now)
                self._look_at = now + self._set.poll
                self._read_whole(now)
                continue
            if now >= until:
                return None
            time.sleep(min(self._look_at, until) - now)
        path, page, pixels, captured = self._waiting.popleft()
        frame = frame_of(
            pixels,
            self._number,
            bit_depth=self._set.bit_depth,
            pixel_size_um=self._set.pixel_size_um,
            captured=captured,
            file=str(path),
            page=page,
        )
        self._number += 1
        return frame

    def close(self) -> None:
        """Stop watching; what was read stays known."""
        self._arriving.clear()

    def lost(self) -> int:
        """Give 0: files wait."""
        return 0

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self._folder.iterdir() if self._wanted(path)]
        except OSError as error:
            raise EdgeError(
                f"the folder {self._folder} is gone ({brief(error)}): it is taken again when it is back"
            ) from error

    def _wanted(self, path: Path) -> bool:
        return path.suffix.lower() in SUFFIXES and fnmatch(path.name, self._set.pattern)

    def _look(self, now: float) -> None:
        """Note new files, and which of them still change."""
        assert self._known is not None, "open comes first"
        names = self._names()
        for name in names:
            if name in self._known:
                continue
            path = self._folder / name
            try:
                stat = path.stat()
            except OSError:
                self._arriving.pop(name, None)
                continue
            state = (stat.st_size, stat.st_mtime_ns)
            before = self._arriving.get(name)
            if before is None or before.state != state:
                self._arriving[name] = _Arrival(path, state, since=now, try_at=now + self._set.settle)
        for name in set(self._arriving).difference(names):
            del self._arriving[name]  # renamed or taken away before it was whole

    def _read_whole(self, now: float) -> None:
        """Read the oldest file that has come to rest; one that cannot be read is tried again until it is given up."""
        assert self._known is not None
        resting = [arrival for arrival in self._arriving.values() if now >= arrival.try_at]
        for arrival in sorted(resting, key=lambda item: (item.state[1], natural(item.path))):
            try:
                pages = read_pages(arrival.path)
            except EdgeError as error:
                arrival.try_at = now + _TRY_AGAIN_S
                if now - arrival.since < self._set.give_up:
                    continue
                self._done(arrival)
                raise CorruptFrameError(str(error)) from error
            self._done(arrival)
            self._waiting.extend((arrival.path, page, pixels, arrival.since) for page, pixels in enumerate(pages))
            return

    def _done(self, arrival: _Arrival) -> None:
        assert self._known is not None
        self._known.add(arrival.path.name)
        del self._arriving[arrival.path.name]
