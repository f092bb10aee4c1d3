"""What a run of ``vsf-edge run`` has done so far: ``run.json``, from which the table is written and a run goes on.

An image counts as done when it is the same file (size and time of change), was stained by the same bundle in the same
way, and its outputs are still there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsf_edge.atomic import write_bytes

RECORD = "run.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Done:
    """An image that is done: its values by column (NaN where there is none), why they are withheld, how it was read."""

    values: dict[str, float]
    abstained: str = ""
    note: str = ""


class RunRecord:
    """The record of the output folder `out`; `way` says which bundle stains, and how.

    With `forget`, nothing that an earlier run did counts.
    """

    def __init__(self, out: Path, way: Mapping[str, str], forget: bool = False) -> None:
        self._path = out / RECORD
        self._out = out
        self._way = dict(way)
        self._done: dict[str, dict[str, Any]] = {} if forget else _read(self._path, self._way)

    def done(self, image: Path, files: list[Path]) -> Done | None:
        """Give the values of an image that is done, None where it is not."""
        entry = self._done.get(str(image))
        try:
            if entry is None or entry["state"] != _state(image) or not all(file.is_file() for file in files):
                return None
            if entry["files"] != [str(file.relative_to(self._out)) for file in files]:
                return None
            values = {str(name): _number(value) for name, value in entry["values"].items()}
            return Done(values=values, abstained=str(entry["abstained"]), note=str(entry.get("magnification", "")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def add(
        self,
        image: Path,
        state: list[int],
        files: list[Path],
        values: Mapping[str, float],
        abstained: str,
        note: str = "",
    ) -> None:
        """Note an image as done; `state` is that of `state_of` from before it was read, `note` its magnification."""
        self._done[str(image)] = {
            "state": state,
            "files": [str(file.relative_to(self._out)) for file in files],
            "values": {name: None if math.isnan(value) else value for name, value in values.items()},
            "abstained": abstained,
            "magnification": note,
        }

    def write(self) -> None:
        """Write it, whole or not at all."""
        document = {"schema_version": SCHEMA_VERSION, "way": self._way, "images": self._done}
        write_bytes(self._path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode("utf-8"))


def state_of(image: Path) -> list[int]:
    """Give size and time of change of an image, [0, 0] where it is not there."""
    try:
        return _state(image)
    except OSError:
        return [0, 0]


def _state(image: Path) -> list[int]:
    found = image.stat()
    return [found.st_size, found.st_mtime_ns]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _read(path: Path, way: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Give the images of an earlier run in the same way; none where there was none, or another."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema_version"] != SCHEMA_VERSION or document["way"] != way:
            return {}
        images = document["images"]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return images if isinstance(images, dict) else {}
