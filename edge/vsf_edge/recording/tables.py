"""Tables that grow: rows are kept until they are on the disk, also while it is full."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from vsf_edge.frames import Frame, FrameResult, LiveCell, Readout
from vsf_edge.manifest import Manifest

FRAME_COLUMNS = (
    "images",
    "index",
    "sequence",
    "number",
    "time",
    "latency_ms",
    "cells",
    "dropped",
    "dropped_why",
    "problem",
    "metadata",
)

PLACE_COLUMNS = ("images", "index", "sequence", "number", "time", "track", "x", "y", "angle", "length", "score")


class GrowingFile:
    """Lines that are only ever appended; what could not be written waits for the next `flush`."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(path, flags, 0o666)
        self._waiting = bytearray()

    def add(self, line: str) -> None:
        """Append `line`, which ends with a line feed."""
        self._waiting += line.encode("utf-8")

    def flush(self) -> None:
        """Write what waits; after an error (`OSError`) the rest of it still waits."""
        while self._waiting:
            written = os.write(self._file, self._waiting)
            del self._waiting[:written]

    def close(self) -> None:
        """Close; what still waits is given up."""
        os.close(self._file)


class GrowingTable(GrowingFile):
    """A CSV table with `columns`."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(path)
        self.row(columns)

    def row(self, values: Sequence[object]) -> None:
        """Append a row; None and NaN leave a field empty."""
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow([_text(value) for value in values])
        self.add(text.getvalue())


def frame_row(images: str, index: int, result: FrameResult) -> list[object]:
    """Give the row of ``frames.csv``; `images` and `index` say where its brightfield is."""
    frame = result.frame
    return [
        images,
        index,
        *_which(frame, result),
        round(result.latency_ms, 3),
        len(result.cells),
        sum(result.dropped.values()),
        ";".join(f"{reason}={count}" for reason, count in sorted(result.dropped.items())),
        result.problem,
        json.dumps(dict(frame.metadata), sort_keys=True) if frame.metadata else "",
    ]


def cell_columns(manifest: Manifest) -> list[str]:
    """Give the columns of ``cells.csv``."""
    columns = list(PLACE_COLUMNS)
    for quantity in manifest.quantities:
        name = quantity.name
        columns += [name, f"{name}_low", f"{name}_high"]
        columns += [f"{name}_steady", f"{name}_steady_low", f"{name}_steady_high", f"{name}_steady_frames"]
    return [*columns, "abstained"]


def cell_row(images: str, index: int | None, result: FrameResult, cell: LiveCell, manifest: Manifest) -> list[object]:
    """Give the row of a cell in ``cells.csv``; a number that must not be used is left empty."""
    found = cell.detection
    row: list[object] = [images, index, *_which(result.frame, result), cell.track, found.x, found.y, found.angle]
    row += [found.length, found.score]
    for quantity in manifest.quantities:
        now = None if cell.abstained else cell.quantities.get(quantity.name)
        steady = cell.steady.get(quantity.name)
        row += [*_ends(now), *_ends(steady), steady.frames if steady else 0]
    return [*row, cell.abstained]


def _which(frame: Frame, result: FrameResult) -> list[object]:
    return [result.sequence, frame.number, f"{frame.time:.6f}"]


def _ends(readout: Readout | None) -> list[float | None]:
    return [None, None, None] if readout is None else [readout.value, readout.low, readout.high]


def _text(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(float(value)) if isinstance(value, float) else value
