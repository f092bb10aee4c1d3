"""The skeleton of a TIFF: a chain of page directories, each a list of tags, all of which must lie inside the file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from vsframework.errors import VsfError

MAX_TAGS = 4096

_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def check_directories(path: Path, file: BinaryIO, size: int) -> None:
    """Follow the chain to its end; TIFF readers stop at a break, or drop a tag beyond the end, without a word.

    A dropped tag can be the OME-XML, which many programs write last: the pixels would be whole and their names, size
    and bit depth gone.

    Parameters
    ----------
    path
        For the error's sentence.
    file
        At its beginning.
    size
        Of the file, in bytes.

    Raises
    ------
    VsfError
        When the chain breaks, runs in a circle, or a tag's value is outside the file.
    """
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    counter, pointer = (struct.Struct(f"{order}{letter}") for letter in ("QQ" if big else "HI"))
    entry = struct.Struct(f"{order}HHQ8s" if big else f"{order}HHI4s")
    seen: set[int] = set()
    try:
        (offset,) = pointer.unpack_from(head, 8 if big else 4)
        while offset:
            if offset in seen or offset >= size:
                raise truncated(path)
            seen.add(offset)
            file.seek(offset)
            (count,) = counter.unpack(file.read(counter.size))
            if not 0 < count < MAX_TAGS:
                raise truncated(path)
            for _, kind, values, place in entry.iter_unpack(file.read(count * entry.size)):
                length = values * _VALUE_BYTES.get(kind, 0)
                if length > pointer.size and pointer.unpack(place)[0] + length > size:
                    raise truncated(path)
            file.seek(offset + counter.size + count * entry.size)
            (offset,) = pointer.unpack(file.read(pointer.size))
    except struct.error as error:
        raise truncated(path) from error
    if not seen:
        raise truncated(path)


def truncated(path: Path) -> VsfError:
    """Give the error for a TIFF of which a part is missing."""
    return VsfError(f"{path} is a truncated or damaged TIFF: copy it again from where it was recorded")
