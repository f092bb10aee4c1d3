"""``--jsonl FILE``: one line per cell, for the program of an instrument."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import IO, Any

from vsf_edge.errors import EdgeError
from vsf_edge.frames import FrameResult, LiveCell, LiveSession, Notice, Readout


class JsonLines:
    """Writes a JSON object per line: ``{"type": "cell", ...}`` for every cell of every frame.

    A cell whose number must not be used has null values and the reason. A frame that could not be stained gives a line
    of the type ``problem``, and what the user should know one of the type ``notice``: no line of cells alone would mean
    that there were none.

    Parameters
    ----------
    address
        The file to write anew, ``-`` or nothing for the standard output.
    """

    every = True

    def __init__(self, address: str = "-") -> None:
        self._path = None if address in ("", "-") else Path(address)
        self._file: IO[str] | None = None

    def start(self, session: LiveSession) -> None:
        """Open the file.

        Raises
        ------
        EdgeError
            When it cannot be written.
        """
        if self._path is None:
            self._file = sys.stdout
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise EdgeError(
                f"{self._path} cannot be written ({error.strerror or error}): give --jsonl another file, or - for the "
                "standard output"
            ) from error

    def take(self, result: FrameResult) -> None:
        """Write a line per cell, and let the reader have them at once."""
        frame = {"sequence": result.sequence, "number": result.frame.number, "time": result.frame.time}
        entries = [{"type": "cell", **frame, **_cell(cell)} for cell in result.cells]
        if result.problem:
            entries.append({"type": "problem", **frame, "text": result.problem})
        self._write(entries)

    def notice(self, notice: Notice) -> None:
        """Write a line."""
        entry = {"type": "notice", "time": notice.time, "level": notice.level, "kind": notice.kind, "text": notice.text}
        self._write([entry])

    def stop(self) -> None:
        """Close the file; the standard output is left open."""
        file, self._file = self._file, None
        if file is not None and self._path is not None:
            file.close()

    def _write(self, entries: list[dict[str, Any]]) -> None:
        if self._file is None or not entries:
            return
        try:
            self._file.write("".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries))
            self._file.flush()
        except OSError as error:
            raise EdgeError(
                f"the lines of a frame could not be written to {self._path or 'the standard output'} "
                f"({error.strerror or error}): is its reader there, and room on the disk?"
            ) from error


def _cell(cell: LiveCell) -> dict[str, Any]:
    found = cell.detection
    return {
        "track": cell.track,
        "x": found.x,
        "y": found.y,
        "angle": found.angle,
        "length": found.length,
        "score": found.score,
        "quantities": {name: _readout(readout, cell.abstained) for name, readout in cell.quantities.items()},
        "steady": {name: _readout(readout) | {"frames": readout.frames} for name, readout in cell.steady.items()},
        "abstained": cell.abstained or None,
    }


def _readout(readout: Readout, abstained: str = "") -> dict[str, float | int | None]:
    ends = {"value": readout.value, "low": readout.low, "high": readout.high}
    return {name: None if abstained or not math.isfinite(value) else float(value) for name, value in ends.items()}
