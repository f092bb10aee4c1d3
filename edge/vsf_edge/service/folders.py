"""The files that the service may read: those in the folders that were named when it was started, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.images import SUFFIXES


class NotAllowedError(EdgeError):
    """The file is in no folder that may be read, or is no image, or is not there."""


class Folders:
    """The folders that may be read, links followed.

    Raises
    ------
    EdgeUsageError
        When one of them is not there.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise EdgeUsageError(f"there is no folder {folder}: --folder names one whose images may be stained")
        self._folders = [folder.resolve() for folder in folders]

    def read(self, name: str, most: int) -> tuple[Path, bytes]:
        """Give where the image `name` (in full, or below one of the folders) really is, and its at most `most` bytes.

        Raises
        ------
        NotAllowedError
            When it may not be read; whether it is there is not told then.
        EdgeError
            When it is too large, or cannot be read.
        """
        refused = NotAllowedError("there is no such image in the folders that vsf-edge serve was given with --folder")
        if not name or "\0" in name:
            raise refused
        for folder in self._folders:
            try:
                path = (folder / name).resolve(strict=True)
                if not path.is_relative_to(folder) or path.suffix.lower() not in SUFFIXES or not path.is_file():
                    continue
                with path.open("rb") as file:
                    content = file.read(most + 1)
            except (OSError, ValueError, RuntimeError):  # not there, a loop of links, a name that no system takes
                continue
            if len(content) > most:
                raise EdgeError(f"{path.name} is larger than {most >> 20} MiB, which --max-mb allows")
            return path, content
        raise refused
