"""What a recording holds, also one that is growing or was cut off: read with the standard library alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vsf_edge.errors import EdgeError
from vsf_edge.locks import is_locked
from vsf_edge.recording import CELLS, FORMAT, FRAMES, LOCK, SCHEMA_VERSION, SESSION

State = Literal["complete", "recording", "cut off"]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Of one recording.

    Attributes
    ----------
    folder
        Where it lies.
    state
        ``complete`` (it was ended), ``recording`` (a process records into it now), or ``cut off`` (its process was
        killed or the power failed; what is counted here is readable).
    session
        What stands in ``session.json``.
    frames, cells
        Rows of the tables whose images are there too.
    tracks
        How many cells have an identity of their own.
    seconds
        From the first frame to the last.
    images
        The sizes of the image sets by path, first axis first.
    not_recorded
        Frames that could not be written, by reason, as far as the session could still tell.
    missing
        Results between the first and the last that are not in the recording, for whatever reason.
    unreadable
        Rows whose image is not there, and frames whose row is not there although they were recorded.
    """

    folder: Path
    state: State
    session: Mapping[str, Any]
    frames: int
    cells: int
    tracks: int
    seconds: float
    images: Mapping[str, tuple[int, ...]]
    not_recorded: Mapping[str, int]
    missing: int
    unreadable: int

    @property
    def whole(self) -> bool:
        """Whether it was ended and nothing is missing."""
        return self.state == "complete" and not (self.missing or self.unreadable or self.not_recorded)


def recordings(folder: Path) -> list[Path]:
    """Give the recordings in `folder`: itself, or the folders in it, oldest first.

    Raises
    ------
    EdgeError
        When there is none.
    """
    if (folder / SESSION).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{SESSION}"))
    if not found:
        raise EdgeError(f"{folder} holds no recording: name a folder that 'vsf-edge live --record' wrote")
    return found


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Give the rows of a table of a recording; a last line that was cut off is left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    whole = content[: content.rfind(b"\n") + 1].decode("utf-8")
    yield from csv.DictReader(whole.splitlines(keepends=True))


def look(folder: Path) -> Contents:
    """Look at the recording in `folder`.

    Raises
    ------
    EdgeError
        When it is none, or written by a newer version.
    """
    session = _session(folder)
    images = _images(folder)
    frames = list(rows(folder / FRAMES))
    cells = list(rows(folder / CELLS))
    there = [row for row in frames if _there(row, images)]
    # without patches the numbers of a cell are all there is of it
    counted = [row for row in cells if not row["images"] or _there(row, images)]
    numbers = [int(row["sequence"]) for row in frames]
    times = [float(row["time"]) for row in there]
    state: State = "complete"
    if session["state"] != "ended":
        state = "recording" if is_locked(folder.parent / LOCK) else "cut off"
    return Contents(
        folder=folder,
        state=state,
        session=session,
        frames=len(there),
        cells=len(counted),
        tracks=len({row["track"] for row in counted}),
        seconds=times[-1] - times[0] if times else 0.0,
        images=images,
        not_recorded={str(reason): int(count) for reason, count in session.get("frames_not_recorded", {}).items()},
        missing=numbers[-1] - numbers[0] + 1 - len(numbers) if numbers else 0,
        unreadable=len(frames) - len(there) + len(cells) - len(counted) + _gone(session, "frames", len(frames)),
    )


def _session(folder: Path) -> dict[str, Any]:
    path = folder / SESSION
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise EdgeError(f"{path} is not of a recording")
        if int(str(document["schema_version"]).partition(".")[0]) > int(SCHEMA_VERSION.partition(".")[0]):
            raise EdgeError(f"{path} was written by a newer vsf-edge: pip install --upgrade vsf-edge")
        str(document["state"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EdgeError(f"{path} cannot be read as the session of a recording ({type(error).__name__})") from error
    return dict(document)


def _images(folder: Path) -> dict[str, tuple[int, ...]]:
    """Give the length and size of every image set: of an OME-Zarr as it says, of TIFFs their number."""
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*/*.ome.zarr/0/zarr.json")):
        image = path.parents[1]
        found[image.relative_to(folder).as_posix()] = tuple(json.loads(path.read_text(encoding="utf-8"))["shape"])
    for name in ("fields", "cells"):
        files = [path.name for path in (folder / name).glob("*.ome.tif") if not path.name.startswith(".")]
        if files:
            found[f"{name}/*.ome.tif"] = (max(int(file.partition(".")[0]) for file in files) + 1,)
    return found


def _gone(session: Mapping[str, Any], what: str, there: int) -> int:
    """Give how many the session says that it recorded, and are not there any more."""
    recorded = session.get(what)
    return max(0, recorded - there) if isinstance(recorded, int) else 0


def _there(row: Mapping[str, str], images: Mapping[str, tuple[int, ...]]) -> bool:
    lengths = [shape[0] for name, shape in images.items() if name.partition("/")[0] == row["images"]]
    return bool(lengths) and int(row["index"]) < min(lengths)
