"""Image files as frames, in order: ``--source images:FOLDER``."""

from __future__ import annotations

import glob
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from vsf_edge.errors import CorruptFrameError, EdgeError, EdgeUsageError, SourceEndError
from vsf_edge.frames import Frame, Pixels
from vsf_edge.images import SUFFIXES, read_pages
from vsf_edge.settings import read_settings, setting
from vsf_edge.sources.image_files import BIT_DEPTH_TEXT, PIXEL_SIZE_TEXT, Pace, frame_of, natural


@dataclass(frozen=True, kw_only=True)
class ImagesSettings:
    """What can be set about image files."""

    fps: float = setting(0.0, "Frames per second; 0 gives them as fast as they are taken.", low=0, high=1000)
    loop: bool = setting(False, "Begin again after the last one, without end.")
    bit_depth: int = setting(0, BIT_DEPTH_TEXT, low=0, high=16)
    pixel_size_um: float = setting(0.0, PIXEL_SIZE_TEXT, low=0, high=1000)


class Images:
    """Image files; a source of kind ``images``.

    ADDRESS is a file, a folder, or a pattern such as ``run1/img_*.tif``. Files come in the order in which people count
    (``img2`` before ``img10``), and every page of a file is a frame. A file that cannot be read is reported, and the
    next one is taken. Nothing is lost: files wait.
    """

    settings = ImagesSettings

    def __init__(self, address: str = "", **given: object) -> None:
        self._set = read_settings(ImagesSettings, given, "source images")
        self._address = address
        self._files: list[Path] = []
        self._waiting: deque[tuple[Path, int, Pixels]] = deque()
        self._next, self._number = 0, 0
        self._good = False
        self._pace = Pace(self._set.fps)

    @property
    def live(self) -> bool:
        """False: files wait."""
        return False

    def open(self) -> None:
        """Look which files there are."""
        self._files = image_files(self._address)
        self._waiting.clear()
        self._next, self._number, self._good = 0, 0, False
        self._pace = Pace(self._set.fps)

    def read(self, timeout: float) -> Frame | None:
        """Give the next page of the next file."""
        if not self._waiting and self._next == len(self._files):
            if not (self._set.loop and self._good):  # a round in which nothing could be read is the last
                raise SourceEndError(f"all {len(self._files)} images of {self._address} are done")
            self._next, self._good = 0, False
        if not self._pace.wait(timeout):
            return None
        if not self._waiting:
            path = self._files[self._next]
            self._next += 1
            try:
                self._waiting.extend((path, page, pixels) for page, pixels in enumerate(read_pages(path)))
            except EdgeError as error:
                raise CorruptFrameError(str(error)) from error
        path, page, pixels = self._waiting.popleft()
        frame = frame_of(
            pixels,
            self._number,
            bit_depth=self._set.bit_depth,
            pixel_size_um=self._set.pixel_size_um,
            file=str(path),
            page=page,
        )
        self._number += 1
        self._good = True
        return frame

    def close(self) -> None:
        """Let the pixels go."""
        self._waiting.clear()

    def lost(self) -> int:
        """Give 0: files wait."""
        return 0


def image_files(address: str) -> list[Path]:
    """Give the images at `address`, a file, a folder or a pattern, in the order in which people count.

    Raises
    ------
    EdgeUsageError
        When there are none.
    """
    if not address:
        raise EdgeUsageError("images need a file, a folder or a pattern, as in --source images:FOLDER")
    path = Path(address)
    if path.is_file():
        return [path]
    found = path.iterdir() if path.is_dir() else map(Path, glob.glob(address))  # noqa: PTH207  (an absolute pattern too)
    images = [item for item in found if item.suffix.lower() in SUFFIXES and item.is_file()]
    if not images:
        raise EdgeUsageError(f"there is no image at {address} ({', '.join(SUFFIXES)} are read)")
    return sorted(images, key=natural)
