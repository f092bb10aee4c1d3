"""One file per channel, named by a pattern: ``{donor}/{field}_{channel}.tif``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vsframework.config import DataSection
from vsframework.dataset.layouts.field_files import FieldFiles, images_below, refuse_twice, what_is_there
from vsframework.errors import UsageError

PLACEHOLDERS = ("donor", "field", "channel", "cell", "plate", "well")


def find_pattern(data: DataSection, root: Path) -> list[FieldFiles]:
    """Find the fields whose channels are files named by ``data.pattern``.

    Raises
    ------
    UsageError
        When nothing matches, or two files are the same channel.
    """
    channels = (*data.brightfield_channels, *data.stains)
    images: dict[tuple[str, str], dict[str, Path]] = {}
    for match, path in matches(root, data.pattern, {"channel": channels}):
        donor, name = match.get("donor", "unknown"), match.get("field", "field")
        channel = match.get("channel", channels[0])
        earlier = images.setdefault((donor, name), {}).setdefault(channel, path)
        refuse_twice(earlier, path, f"{channel} of {donor}/{name}")
    if not images:
        raise UsageError(
            f"no file under {root} matches data.pattern = {data.pattern!r} with {{channel}} one of "
            f"{', '.join(channels)}; {_nearly(root, data.pattern, channels) or what_is_there(root)}"
        )
    crops = find_crops_of(data, root, set(images))
    return [
        FieldFiles(
            donor=donor,
            name=name,
            brightfield={plane: found[plane] for plane in data.brightfield_channels if plane in found},
            stains={stain: found[stain] for stain in data.stains if stain in found},
            crops=crops.get((donor, name), {}),
        )
        for (donor, name), found in images.items()
    ]


def find_crops_of(
    data: DataSection, root: Path, fields: set[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Path]]:
    """Find the brightfield crops of cells, where ``data.crops`` says how they are named.

    Raises
    ------
    UsageError
        When there are none, some of a field that is not among `fields`, or two of one cell.
    """
    if not data.crops:
        return {}
    crops: dict[tuple[str, str], dict[str, Path]] = {}
    for match, path in matches(root, data.crops, {}):
        key = (match.get("donor", "unknown"), match.get("field", "field"))
        cell = match.get("cell", path.stem)
        earlier = crops.setdefault(key, {}).setdefault(cell, path)
        refuse_twice(earlier, path, f"the cell {cell} of {'/'.join(key)}", "make data.crops stricter")
    if not crops:
        raise UsageError(
            f"no file under {root} matches data.crops = {data.crops!r}; leave it out to detect cells in the fields"
        )
    orphans = sorted(set(crops) - fields)
    if orphans:
        raise UsageError(
            f"data.crops finds cells of {'/'.join(orphans[0])}, but data.pattern finds no such field "
            f"({len(orphans)} fields in all); both patterns must give the same names"
        )
    return {key: dict(sorted(found.items())) for key, found in crops.items()}


def pattern_to_regex(pattern: str, choices: Mapping[str, Iterable[str]]) -> re.Pattern[str]:
    """Translate ``{donor}/{field}_{channel}.*`` into a regular expression over relative POSIX paths.

    ``*`` stands for anything within one folder or file name; a placeholder named in `choices` takes only those values.

    >>> pattern_to_regex("{donor}/{field}.*", {}).fullmatch("d1/f2.tif").groupdict()
    {'donor': 'd1', 'field': 'f2'}
    """
    parts = []
    seen: set[str] = set()
    for literal, star, name in re.findall(r"([^{}*]+)|(\*)|\{([^{}]*)\}", pattern):
        if literal:
            parts.append(re.escape(literal))
        elif star:
            parts.append("[^/]*")
        elif name in seen:
            parts.append(f"(?P={name})")
        elif name in PLACEHOLDERS:
            seen.add(name)
            values = choices.get(name)
            inner = "|".join(re.escape(value) for value in values) if values else "[^/]+?"
            parts.append(f"(?P<{name}>{inner})")
        else:
            raise UsageError(f"pattern {pattern!r}: there is no {{{name}}}; known are {', '.join(PLACEHOLDERS)}")
    return re.compile("".join(parts))


def matches(root: Path, pattern: str, choices: Mapping[str, Iterable[str]]) -> Iterator[tuple[dict[str, str], Path]]:
    """Give what the placeholders of `pattern` stand for in every file under `root` that it matches, and the file."""
    expression = pattern_to_regex(pattern, choices)
    for path in images_below(root):
        match = expression.fullmatch(path.relative_to(root).as_posix())
        if match:
            yield match.groupdict(), path


def _nearly(root: Path, pattern: str, channels: tuple[str, ...]) -> str:
    """Say what one change would make the pattern match; empty if none of the usual ones does."""
    names = [path.relative_to(root).as_posix() for path in images_below(root)]
    free = pattern_to_regex(pattern, {})
    found = [match for name in names if (match := free.fullmatch(name))]
    if found and "channel" in free.groupindex:
        there = sorted({match["channel"] for match in found})
        few = ", ".join(there[:8]) + (f" and {len(there) - 8} more" if len(there) > 8 else "")
        return f"it would with the channels {few}: name them in data.brightfield and data.stains"
    exact = pattern_to_regex(pattern, {"channel": channels})
    loose = re.compile(exact.pattern, re.IGNORECASE)
    if any(loose.fullmatch(name) for name in names):
        return "it would if capital and small letters were the same: write them as the files do"
    stem, dot, _ = pattern.rpartition(".")
    if dot and "/" not in pattern[len(stem) :]:
        other = pattern_to_regex(f"{stem}.*", {"channel": channels})
        endings = sorted({Path(name).suffix for name in names if other.fullmatch(name)})
        if endings:
            return f"it would with the ending {' or '.join(endings)}: end the pattern in .*"
    return ""
