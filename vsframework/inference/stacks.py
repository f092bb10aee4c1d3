"""Which files are one brightfield field: a file each, or one for every plane of a z stack."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from vsframework.config import DataSection

Source: TypeAlias = Path | Mapping[str, Path]
"""A file with all planes of a field, or its files by channel."""


def group_planes(images: Iterable[Path], data: DataSection) -> dict[Path, Source]:
    """Put the files of a field together.

    Where the run was trained on one file per plane, files whose names differ in nothing but the plane's name (as in
    ``data.brightfield``) are one field; a file whose name holds none is taken to hold all planes.

    Returns
    -------
    Sources by what names the field: the file itself, or the files' common name without the plane's.

    Examples
    --------
    >>> data = DataSection(root=".", brightfield=("z0", "z1"))
    >>> [field.name for field in group_planes([Path("a_z0.tif"), Path("a_z1.tif"), Path("stack.tif")], data)]
    ['a.tif', 'stack.tif']
    """
    if len(data.brightfield_channels) == 1:
        return {image: image for image in images}
    longest_first = sorted(data.brightfield_channels, key=len, reverse=True)
    expression = re.compile("(.*)(" + "|".join(map(re.escape, longest_first)) + ")(.*)")
    sources: dict[Path, Source] = {}
    fields: dict[Path, dict[str, Path]] = {}
    for image in images:
        match = expression.fullmatch(image.stem)
        if match is None:
            sources[image] = image
            continue
        before, channel, after = match.groups()
        name = f"{before.rstrip(' _-.')}{after}".strip(" _-.") or image.absolute().parent.name
        field = image.with_name(name + image.suffix)
        sources[field] = fields.setdefault(field, {})
        fields[field][channel] = image
    return sources
