"""Where the files of a study lie: which belong to one field, and which crops show its cells.

A layout is a function from ``[data]`` and a folder to fields; a new one is a module here and a line below. It is no
hook: what a lab's files are called is said by a pattern, and what no pattern says is a script that renames files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vsframework.config import DataSection
from vsframework.dataset.layouts.field_files import FieldFiles, Within
from vsframework.dataset.layouts.mccallum import find_mccallum
from vsframework.dataset.layouts.multichannel import find_multichannel
from vsframework.dataset.layouts.pattern import find_pattern
from vsframework.dataset.layouts.plate import find_plate
from vsframework.dataset.layouts.side_by_side import find_side_by_side
from vsframework.errors import UsageError

__all__ = ["LAYOUTS", "FieldFiles", "Within", "find_fields"]

LAYOUTS: dict[str, Callable[[DataSection, Path], list[FieldFiles]]] = {
    "pattern": find_pattern,
    "multichannel": find_multichannel,
    "side-by-side": find_side_by_side,
    "plate": find_plate,
    "mccallum": find_mccallum,
}


def find_fields(data: DataSection, root: Path) -> list[FieldFiles]:
    """Find the fields under `root` by the layout of `data`, sorted by donor and field.

    Raises
    ------
    UsageError
        When the folder or every match is missing, with what was looked for and what is there.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder {root} (data.root in the experiment file)")
    return sorted(LAYOUTS[data.layout](data, root), key=lambda field: (field.donor, field.name))
