"""One process at a time: a lock on a file, which the system releases when its process ends, however it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vsf_edge.errors import EdgeError


@contextmanager
def locked(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the lock of the file `path` (made where it is missing, and left there).

    Parameters
    ----------
    path
        Not the file that is protected, but one beside it.
    waiting
        Called once when another process holds it.

    Raises
    ------
    EdgeError
        When the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise EdgeError(f"{path.parent} cannot be written ({error.strerror or error}): name another folder") from error
    with file:
        if not _try(file):
            waiting()
            while not _try(file):
                time.sleep(0.05)
        try:
            yield
        finally:
            _release(file)


def is_locked(path: Path) -> bool:
    """Say whether a process holds the lock of the file `path`."""
    try:
        with path.open("r+b") as file:
            if not _try(file):
                return True
            _release(file)
    except OSError:
        pass
    return False


if sys.platform == "win32":
    import msvcrt

    def _try(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
