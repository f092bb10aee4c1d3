"""What goes over the WebSocket: one binary message per frame from here, small JSON texts both ways.

A frame is four bytes (the length of the header, little-endian), the header (JSON, UTF-8), and the JPEGs one after the
other in the order of the header's ``pictures``; so pictures and numbers always belong together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsf_edge.errors import EdgeError
from vsf_edge.frames import Notice, Readout

MOST_BYTES = 2048
"""Of a message from a page."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A JPEG: its name, its size in pixels, and what it shows where it is of one cell."""

    name: str
    width: int
    height: int
    jpeg: bytes
    track: int | None = None


@dataclass(frozen=True)
class Request:
    """What a page says.

    Attributes
    ----------
    ready
        Whether it has shown the last frame and waits for the next; False where it is hidden and wants none; None where
        it does not say.
    selected
        The track whose crop it shows, or None.
    """

    ready: bool | None
    selected: int | None


def pack(header: Mapping[str, Any], pictures: Sequence[Picture]) -> bytes:
    """Make the binary message of one frame."""
    listed = [
        {
            "name": picture.name,
            "width": picture.width,
            "height": picture.height,
            "bytes": len(picture.jpeg),
            **({} if picture.track is None else {"track": picture.track}),
        }
        for picture in pictures
    ]
    text = json.dumps({**header, "pictures": listed}, allow_nan=False, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *(picture.jpeg for picture in pictures)])


def unpack(message: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Read the binary message of one frame: header and JPEGs. For programs that are no browser."""
    start = 4 + int.from_bytes(message[:4], "little")
    header: dict[str, Any] = json.loads(message[4:start])
    jpegs = []
    for picture in header["pictures"]:
        jpegs.append(message[start : start + picture["bytes"]])
        start += picture["bytes"]
    return header, jpegs


def parse_request(text: str) -> Request:
    """Read what a page says: ``{"ready": true, "selected": 7}``; ``ready`` may be left out.

    Raises
    ------
    EdgeError
        When it is anything else.
    """
    wrong = EdgeError('a page may only say {"ready": true or false, "selected": the number of a cell or null}')
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(said, dict) or not said.keys() <= {"ready", "selected"}:
        raise wrong
    ready, selected = said.get("ready"), said.get("selected")
    if not (ready is None or isinstance(ready, bool)):
        raise wrong
    if not (selected is None or (type(selected) is int and 0 <= selected < 2**53)):
        raise wrong
    return Request(ready, selected)


def number(value: float, digits: int = 5) -> float | None:
    """Give a number as JSON has it, to `digits` significant ones: None where it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def readouts(values: Mapping[str, Readout]) -> dict[str, list[float | int | None]]:
    """Give readouts as JSON: by name, value, low, high and the number of frames."""
    return {name: [number(r.value), number(r.low), number(r.high), r.frames] for name, r in values.items()}


def notice_entry(notice: Notice) -> dict[str, Any]:
    """Give a notice as JSON."""
    return {"level": notice.level, "kind": notice.kind, "text": notice.text, "time": notice.time}
