"""The raw fields of McCallum et al. 2019 and their variants: ``Green0.tif``, ``Red0.tif`` and a brightfield.

Names may be capital or small, fields numbered with or without leading zeros, and the brightfield called BF,
brightfield or brightfield_composite; its number may be missing where the folder holds one field. Every folder is a
donor. Crops of cells lie in a folder ``cells`` or ``crops`` in it, as ``img003_brightfield.jpg`` or
``img003_S1_BF012_DFI_1179.jpg``.
"""

from __future__ import annotations

import re
from pathlib import Path

from vsframework.config import DataSection
from vsframework.dataset.layouts.field_files import FieldFiles, images_below, refuse_twice, what_is_there
from vsframework.errors import UsageError

IMAGE = re.compile(
    r"(?P<channel>green|red|brightfield|bf)[ _-]?(?:composite)?[ _-]?(?P<field>\d*)\.(?:tiff?|png|jpe?g)", re.IGNORECASE
)
CROP = re.compile(r"img(?P<cell>\d+)_(?:brightfield|.*BF(?P<field>\d+).*)\.(?:tiff?|png|jpe?g)", re.IGNORECASE)
REMEDY = "keep one of them in this folder"
CROP_FOLDERS = ("cells", "crops")
COLOURS = {"dsdna": "green", "green": "green", "ssdna": "red", "red": "red"}
"""Acridine orange: what a stain of this name is called in a file name."""


def find_mccallum(data: DataSection, root: Path) -> list[FieldFiles]:
    """Find the fields; ``data.pattern`` is not used.

    Raises
    ------
    UsageError
        When there are none, two files are the same channel, or a stain is neither the green nor the red one.
    """
    (brightfield, *more) = data.brightfield_channels
    unknown = [stain for stain in data.stains if stain.lower() not in COLOURS]
    if unknown or more:
        raise UsageError(
            f"the layout mccallum has one brightfield, and the stains dsDNA (green) and ssDNA (red), not "
            f"{', '.join([*more, *unknown])}: set data.brightfield and data.stains so"
        )
    names = {"bf": brightfield, "brightfield": brightfield} | {COLOURS[stain.lower()]: stain for stain in data.stains}
    images: dict[Path, dict[str, dict[str, Path]]] = {}
    crops: dict[Path, dict[str, dict[str, Path]]] = {}
    for path in images_below(root):
        in_crops = path.parent.name.lower() in CROP_FOLDERS
        match = (CROP if in_crops else IMAGE).fullmatch(path.name)
        if match is None:
            continue
        field = str(int(match["field"])) if match["field"] else ""
        if in_crops:
            cells = crops.setdefault(path.parent.parent, {}).setdefault(field, {})
            cell = f"img{match['cell']}"
            refuse_twice(cells.setdefault(cell, path), path, f"the cell {cell} of {path.parent.parent.name}", REMEDY)
        elif (word := match["channel"].lower()) in names:
            folder = images.setdefault(path.parent, {}).setdefault(field, {})
            what = f"{names[word]} of {path.parent.name}/{field}"
            refuse_twice(folder.setdefault(names[word], path), path, what, REMEDY)
    if not images:
        raise UsageError(f"no file under {root} is called like Green0.tif, Red0.tif or BF0.tif; {what_is_there(root)}")
    return [
        FieldFiles(
            donor=folder.relative_to(root).as_posix() if folder != root else "unknown",
            name=field or "0",
            brightfield={brightfield: found[brightfield]} if brightfield in found else {},
            stains={stain: found[stain] for stain in data.stains if stain in found},
            crops=_crops_of(field, len(fields) == 1, crops.get(folder, {})),
        )
        for folder, fields in ((folder, _join(folder, found)) for folder, found in images.items())
        for field, found in fields.items()
    ]


def _join(folder: Path, fields: dict[str, dict[str, Path]]) -> dict[str, dict[str, Path]]:
    """Take what has no number for the one field that has."""
    numbered = [field for field in fields if field]
    if "" in fields and len(numbered) == 1:
        return {numbered[0]: _together(fields[numbered[0]], fields[""], f"of {folder.name}/{numbered[0]}")}
    if "" in fields and "0" in numbered:
        path = next(iter(fields[""].values()))
        raise UsageError(f"{path} has no number among {len(numbered)} fields that have one: number it like them")
    return fields


def _crops_of(field: str, only: bool, crops: dict[str, dict[str, Path]]) -> dict[str, Path]:
    """Give the crops of a field by cell: those of its number, and for the `only` one those without.

    The only field takes all where it has no number itself.
    """
    found: dict[str, Path] = {}
    for number, some in crops.items():
        if number == field or (only and "" in (number, field)):
            found = _together(found, some, f"of field {field or '0'}")
    return dict(sorted(found.items()))


def _together(some: dict[str, Path], more: dict[str, Path], whose: str) -> dict[str, Path]:
    joined = dict(some)
    for name, path in more.items():
        refuse_twice(joined.setdefault(name, path), path, f"{name} {whose}", REMEDY)
    return joined
