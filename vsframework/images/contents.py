"""The bytes of an image on disk, be it a file or a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vsframework.errors import VsfError


def files_of(path: Path) -> list[Path]:
    """Give the file `path`, or every file in the folder `path`, in order."""
    return sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]


def contents_hash(path: Path) -> str:
    """Give the sha256 of a file, or of the names and sha256 of all files in a folder.

    Raises
    ------
    VsfError
        When it cannot be read any more.
    """
    try:
        if not path.is_dir():
            return _sha256(path)
        lines = [f"{_sha256(item)} {item.relative_to(path).as_posix()}\n" for item in files_of(path)]
    except OSError as error:
        raise VsfError(f"{path} cannot be read: {error.strerror or error}") from error
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
