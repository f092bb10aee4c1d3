"""A recording while it grows: what the disk refuses is counted, and the rest goes on."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from vsf_edge.errors import EdgeError
from vsf_edge.frames import FrameResult, LiveSession, Notice
from vsf_edge.manifest import Manifest
from vsf_edge.recording import CELLS, FRAMES, NOTICES
from vsf_edge.recording.document import SessionDocument
from vsf_edge.recording.tables import FRAME_COLUMNS, GrowingFile, GrowingTable, cell_columns, cell_row, frame_row

FORMATS = ("ome-zarr", "ome-tiff")
TOLD_AGAIN_AFTER_S = 10.0
RESERVE = ".reserve"
RESERVE_BYTES = 1 << 20
"""Kept for the tables and the last word of a recording on a full disk."""

RESUMES_AT_BYTES = 64 << 20
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class Images(Protocol):
    """Writes the pixels."""

    def add_field(self, result: FrameResult) -> tuple[str, int]:
        """Write the field; gives the name of its set and the index in it."""

    def add_cells(self, result: FrameResult) -> list[tuple[str, int]]:
        """Write the patches of the cells; the same for each."""

    def flush(self) -> None:
        """Write what waits."""


class GrowingRecording:
    """The recording of `session` in the new `folder`.

    Parameters
    ----------
    kind
        One of `FORMATS`.
    dtype
        Of the stains.
    patches
        Whether those of the cells are recorded.

    Raises
    ------
    EdgeError
        When a library is missing.
    OSError
        When the folder cannot be written.
    """

    def __init__(self, folder: Path, session: LiveSession, *, kind: str, dtype: str, patches: bool) -> None:
        self._folder = folder
        self._manifest = session.manifest
        self._images = _images(kind, folder, session.manifest, dtype)
        self._patches = patches
        self._document = SessionDocument(folder, session, {"format": kind, "dtype": dtype, "patches": patches})
        self._frames = GrowingTable(folder / FRAMES, FRAME_COLUMNS)
        self._cells = GrowingTable(folder / CELLS, cell_columns(session.manifest))
        self._notices = GrowingFile(folder / NOTICES)
        self._full = False
        self._told = -TOLD_AGAIN_AFTER_S
        self._document.write()
        self._reserve()

    def take(self, result: FrameResult) -> None:
        """Record a result.

        Raises
        ------
        EdgeError
            When it could not be: the first time, and then now and then, with how many so far.
        """
        try:
            if self._full:
                if shutil.disk_usage(self._folder).free < RESUMES_AT_BYTES:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._reserve()
                self._full = False
            # cells first: of a frame that fails after them, patches are left that no row names
            places = self._images.add_cells(result) if self._patches else [("", None)] * len(result.cells)
            images, index = self._images.add_field(result)
        except OSError as error:
            self._lose(error)
            return
        self._frames.row(frame_row(images, index, result))
        for cell, (patches, patch) in zip(result.cells, places, strict=True):
            self._cells.row(cell_row(patches, patch, result, cell, self._manifest))
        self._document.frames += 1
        self._document.cells += len(result.cells)

    def notice(self, notice: Notice) -> None:
        """Record a notice."""
        self._notices.add(self._document.line(notice))

    def flush(self) -> list[str]:
        """Write what waits; gives what could not be written, which waits on."""
        # a process killed between two of these leaves them half a second apart: a reader takes what all have
        writes = (self._images.flush, self._frames.flush, self._cells.flush, self._notices.flush, self._document.write)
        return [problem for problem in map(self._tried, writes) if problem]

    def close(self) -> None:
        """Write what waits, and how it ended.

        Raises
        ------
        EdgeError
            When not all of that could be written; it is closed all the same.
        """
        self._release_reserve()
        problems = self.flush()
        for table in (self._frames, self._cells, self._notices):
            table.close()
        problems += filter(None, [self._tried(lambda: self._document.write(ended=True))])
        if problems:
            raise EdgeError(f"{self._folder} could not be written to its end ({problems[0]}): free space for the next")

    def _tried(self, write: Callable[[], object]) -> str:
        try:
            write()
        except OSError as error:
            if error.errno in _FULL:
                self._full = True
                self._release_reserve()
            return error.strerror or str(error)
        return ""

    def _lose(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        self._document.not_recorded[reason] += 1
        if error.errno in _FULL:
            self._full = True
            self._release_reserve()
        self.flush()
        if time.monotonic() - self._told >= TOLD_AGAIN_AFTER_S:
            self._told = time.monotonic()
            count = self._document.not_recorded.total()
            raise EdgeError(
                f"{self._folder}: {count} frames could not be recorded so far ({reason}): free space, or stop recording"
            ) from error

    def _reserve(self) -> None:
        (self._folder / RESERVE).write_bytes(os.urandom(RESERVE_BYTES))  # a disk that compresses keeps this, too

    def _release_reserve(self) -> None:
        (self._folder / RESERVE).unlink(missing_ok=True)


def _images(kind: str, folder: Path, manifest: Manifest, dtype: str) -> Images:
    try:
        if kind == "ome-tiff":
            from vsf_edge.recording.tiff_images import TiffImages

            return TiffImages(folder, manifest, dtype)
        from vsf_edge.recording.zarr_images import ZarrImages

        return ZarrImages(folder, manifest, dtype)
    except ImportError as error:
        raise EdgeError(f"recording as {kind} needs a library ({error}): pip install 'vsf-edge[record]'") from error
