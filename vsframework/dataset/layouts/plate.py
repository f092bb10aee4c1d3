"""Plates: which donor is in which well says a table; the fields are OME-Zarr, or files named by their well."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from vsframework.config import DataSection
from vsframework.dataset.layouts.field_files import FieldFiles, refuse_twice, what_is_there
from vsframework.dataset.layouts.multichannel import whole_field
from vsframework.dataset.layouts.pattern import matches
from vsframework.errors import UsageError, VsfError
from vsframework.images import is_plate, is_zarr, plate_fields
from vsframework.images.opening import one_sentence

WELL = re.compile(r"([A-Za-z]{1,2})[/ _-]?0*([1-9][0-9]?)")


def find_plate(data: DataSection, root: Path) -> list[FieldFiles]:
    """Find the fields of every well that has a donor in ``data.plate_table``.

    Raises
    ------
    UsageError
        When nothing matches, two files are the same, the table is wrong, or does not know a well that is there.
    """
    donors = read_plate_table(root / str(data.plate_table))
    fields: dict[tuple[str, str], FieldFiles] = {}
    unknown: set[str] = set()
    found = False
    channels = (*data.brightfield_channels, *data.stains)
    images: dict[tuple[str, str], dict[str, Path]] = {}
    for match, path in matches(root, data.pattern, {"channel": channels}):
        found = True
        plate = match.get("plate", path.name.partition(".")[0] if is_zarr(path) else "")
        with one_sentence(path):
            wells = plate_fields(path) if is_zarr(path) and is_plate(path) else None
        if wells is not None:
            for place, images_of_well in wells.items():
                donor, well = _donor(donors, plate, place, unknown)
                for number, image in enumerate(images_of_well if donor else ()):
                    name = _name(plate, well, str(number))
                    whole = whole_field(data, donor, name, image)
                    _refuse_second(fields.setdefault((donor, name), whole), whole)
            continue
        donor, well = _donor(donors, plate, match.get("well", ""), unknown)
        if donor and "channel" in match:
            key = (donor, _name(match.get("plate", ""), well, match.get("field", "0")))
            earlier = images.setdefault(key, {}).setdefault(match["channel"], path)
            refuse_twice(earlier, path, f"{match['channel']} of {'/'.join(key)}")
        elif donor:
            name = _name(match.get("plate", ""), well, match.get("field", "0"))
            whole = whole_field(data, donor, name, path)
            _refuse_second(fields.setdefault((donor, name), whole), whole)
    for (donor, name), by_channel in images.items():
        field = FieldFiles(
            donor=donor,
            name=name,
            brightfield={plane: by_channel[plane] for plane in data.brightfield_channels if plane in by_channel},
            stains={stain: by_channel[stain] for stain in data.stains if stain in by_channel},
        )
        _refuse_second(fields.setdefault((donor, name), field), field)
    if not found:
        raise UsageError(f"nothing under {root} matches data.pattern = {data.pattern!r}; {what_is_there(root)}")
    if unknown:
        few = ", ".join(sorted(unknown)[:8]) + (" ..." if len(unknown) > 8 else "")
        raise UsageError(
            f"{data.plate_table} says no donor for {len(unknown)} wells ({few}): add their rows, with an empty donor "
            "for a well that is to be left out"
        )
    if not fields:
        raise UsageError(f"{data.plate_table} leaves every well out: give at least one a donor")
    return list(fields.values())


def read_plate_table(path: Path) -> dict[tuple[str, str], str]:
    """Read a CSV with the columns well, donor and, for several plates, plate: donors by plate and well.

    Raises
    ------
    UsageError
        When it is missing, lacks a column, or names a well twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} (data.plate_table) cannot be read: {error}") from error
    if not rows or not {"well", "donor"} <= set(rows[0]):
        raise UsageError(f"{path} (data.plate_table) needs the columns well and donor")
    donors: dict[tuple[str, str], str] = {}
    for number, row in enumerate(rows, 2):
        key = ((row.get("plate") or "").strip(), well_name(row["well"] or ""))
        if not key[1]:
            raise UsageError(f"{path}: row {number} names {row['well']!r}, which is no well like A1")
        if key in donors:
            raise UsageError(f"{path}: row {number} names the well {key[1]} a second time")
        donors[key] = (row["donor"] or "").strip()
        if "/" in donors[key]:
            raise UsageError(f"{path}: row {number} names the donor {donors[key]!r}: leave the slash out")
    return donors


def well_name(text: str) -> str:
    """Give one name to a well however it is written; empty if it is none.

    >>> [well_name(text) for text in ("A1", "a/01", "AB-12", "shelf")]
    ['A1', 'A1', 'AB12', '']
    """
    match = WELL.fullmatch(text.strip())
    return f"{match[1].upper()}{match[2]}" if match else ""


def _donor(donors: dict[tuple[str, str], str], plate: str, place: str, unknown: set[str]) -> tuple[str, str]:
    """Give donor and name of a well; note it where the table has no row for it."""
    well = well_name(place)
    if not well:
        raise VsfError(f"{place!r} is no well like A1: correct the pattern (data.pattern) or the plate")
    for key in ((plate, well), ("", well)):
        if key in donors:
            return donors[key], well
    unknown.add(f"{plate} {well}".strip())
    return "", well


def _refuse_second(earlier: FieldFiles, field: FieldFiles) -> None:
    """Stop where two files would be one field: A1 and A01, or two plates whose names are not in the pattern."""
    refuse_twice(earlier.files[0], field.files[0], f"the field {field.id}")


def _name(plate: str, well: str, field: str) -> str:
    return "_".join(part for part in (plate, well, field) if part)
