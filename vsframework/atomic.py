"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsframework.errors import VsfError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when no more can be written: to the disk, by this user, to one file."""


def full_disk(path: Path) -> VsfError:
    """Give the error for a disk that filled while `path` was written."""
    return VsfError(f"the disk is full while writing {path}; make room and run the same command again")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write to; on success it is flushed and takes the name `path`.

    After an error (or SIGKILL) `path` is what it was before.

    Raises
    ------
    VsfError
        When the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise VsfError(f"{path} cannot be written: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        if error.errno in FULL:
            raise full_disk(path) from error
        raise
    except Exception as error:
        # libraries written in Rust (safetensors) say what the system said in words
        code = re.search(r"\(os error (\d+)\)", str(error))
        if code and int(code[1]) in FULL:
            raise full_disk(path) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
