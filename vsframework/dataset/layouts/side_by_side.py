"""Brightfield and stain in one picture, side by side, as pix2pix is trained with."""

from __future__ import annotations

from pathlib import Path

from vsframework.config import DataSection
from vsframework.dataset.layouts.field_files import FieldFiles, Within, refuse_twice, what_is_there
from vsframework.dataset.layouts.pattern import matches
from vsframework.errors import UsageError


def find_side_by_side(data: DataSection, root: Path) -> list[FieldFiles]:
    """Find the pictures that ``data.pattern`` names.

    With {channel} in the pattern, a picture holds the brightfield and the stain that {channel} stands for, and there is
    one for each stain; without, it holds the brightfield and every stain, in their order. ``data.brightfield_side``
    says whether the brightfield is leftmost or rightmost.

    Raises
    ------
    UsageError
        When nothing matches, or two files are the same.
    """
    (brightfield, *more), stains = data.brightfield_channels, data.stains
    if more:
        raise UsageError("in the layout side-by-side there is one brightfield plane: name one in data.brightfield")
    pictures: dict[tuple[str, str], dict[str, Path]] = {}
    for match, path in matches(root, data.pattern, {"channel": stains}):
        donor, name = match.get("donor", "unknown"), match.get("field", path.stem)
        shown = (match["channel"],) if "channel" in match else stains
        for stain in shown:
            earlier = pictures.setdefault((donor, name), {}).setdefault(stain, path)
            refuse_twice(earlier, path, f"{stain} of {donor}/{name}")
    if not pictures:
        choice = f" with {{channel}} one of {', '.join(stains)}" if "{channel}" in data.pattern else ""
        raise UsageError(f"no file under {root} matches data.pattern = {data.pattern!r}{choice}; {what_is_there(root)}")
    right = data.brightfield_side == "right"
    count = 2 if "{channel}" in data.pattern else 1 + len(stains)
    fields = []
    for (donor, name), found in pictures.items():
        within = {brightfield: Within(panel=(count - 1 if right else 0, count))}
        for index, stain in enumerate(stains):
            place = 0 if count == 2 else index
            within[stain] = Within(panel=(place if right else place + 1, count))
        fields.append(
            FieldFiles(
                donor=donor,
                name=name,
                # every picture of the field shows its brightfield; that beside the reference stain is taken
                brightfield={brightfield: next(found[stain] for stain in stains if stain in found)},
                stains={stain: found[stain] for stain in stains if stain in found},
                within=within,
            )
        )
    return fields
