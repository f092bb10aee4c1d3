"""One file per field with all its channels by name: OME-TIFF, OME-Zarr, CZI, ND2, LIF."""

from __future__ import annotations

from pathlib import Path

from vsframework.config import DataSection
from vsframework.dataset.layouts.field_files import FieldFiles, Within, refuse_twice, what_is_there
from vsframework.dataset.layouts.pattern import find_crops_of, matches
from vsframework.errors import UsageError


def find_multichannel(data: DataSection, root: Path) -> list[FieldFiles]:
    """Find the files that ``data.pattern`` names, each a field; its channels are taken by their names in the file.

    Raises
    ------
    UsageError
        When nothing matches, the pattern holds {channel}, or two files are the same field.
    """
    if "{channel}" in data.pattern:
        raise UsageError(
            f"data.pattern = {data.pattern!r} names a {{channel}}, but in the layout multichannel a file holds all of "
            "them: leave it out, or take the layout pattern"
        )
    found: dict[tuple[str, str], Path] = {}
    for match, path in matches(root, data.pattern, {}):
        donor, name = match.get("donor", "unknown"), match.get("field", path.name.partition(".")[0])
        refuse_twice(found.setdefault((donor, name), path), path, f"the field {donor}/{name}")
    if not found:
        raise UsageError(f"no file under {root} matches data.pattern = {data.pattern!r}; {what_is_there(root)}")
    crops = find_crops_of(data, root, set(found))
    return [whole_field(data, donor, name, path, crops.get((donor, name))) for (donor, name), path in found.items()]


def whole_field(
    data: DataSection, donor: str, name: str, path: Path, crops: dict[str, Path] | None = None
) -> FieldFiles:
    """Describe the field of which `path` holds every channel."""
    return FieldFiles(
        donor=donor,
        name=name,
        brightfield=dict.fromkeys(data.brightfield_channels, path),
        stains=dict.fromkeys(data.stains, path),
        within={channel: Within(channel=channel) for channel in (*data.brightfield_channels, *data.stains)},
        crops=crops or {},
    )
