"""Where the files of a study lie: which belong to one field, and which crops show its cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vsframework.config import DataSection
from vsframework.errors import UsageError

PLACEHOLDERS = ("donor", "field", "channel", "cell")


@dataclass(frozen=True, kw_only=True)
class FieldFiles:
    """The files of one field of view.

    Attributes
    ----------
    donor, name
        Whose field it is, and which.
    brightfield, stains
        Its images by channel, in the order of the experiment file; a channel without a file is missing.
    crops
        Brightfield crops of its cells, by cell name; empty where cells are to be detected.
    """

    donor: str
    name: str
    brightfield: Mapping[str, Path] = field(default_factory=dict)
    stains: Mapping[str, Path] = field(default_factory=dict)
    crops: Mapping[str, Path] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What names the field in a table: ``donor/field``."""
        return f"{self.donor}/{self.name}"

    @property
    def files(self) -> list[Path]:
        """Every file of the field."""
        return [*self.brightfield.values(), *self.stains.values(), *self.crops.values()]


def find_fields(data: DataSection, root: Path) -> list[FieldFiles]:
    """Find the fields under `root` by the patterns of `data`, sorted by donor and field.

    Raises
    ------
    UsageError
        When the folder or every match is missing, with what was looked for and what is there.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder {root} (data.root in the experiment file)")
    channels = (*data.brightfield_channels, *data.stains)
    images: dict[tuple[str, str], dict[str, Path]] = {}
    for match, path in _matches(root, data.pattern, {"channel": channels}):
        donor, name = match.get("donor", "unknown"), match.get("field", "field")
        channel = match.get("channel", channels[0])
        earlier = images.setdefault((donor, name), {}).setdefault(channel, path)
        if earlier != path:
            raise UsageError(f"{earlier} and {path} are both {channel} of {donor}/{name}; make data.pattern stricter")
    if not images:
        raise UsageError(
            f"no file under {root} matches data.pattern = {data.pattern!r} with {{channel}} one of "
            f"{', '.join(channels)}; {_what_is_there(root)}"
        )
    crops: dict[tuple[str, str], dict[str, Path]] = {}
    if data.crops:
        for match, path in _matches(root, data.crops, {}):
            key = (match.get("donor", "unknown"), match.get("field", "field"))
            crops.setdefault(key, {})[match.get("cell", path.stem)] = path
        if not crops:
            raise UsageError(
                f"no file under {root} matches data.crops = {data.crops!r}; leave it out to detect cells in the fields"
            )
        orphans = sorted(set(crops) - set(images))
        if orphans:
            raise UsageError(
                f"data.crops finds cells of {'/'.join(orphans[0])}, but data.pattern finds no such field "
                f"({len(orphans)} fields in all); both patterns must give the same names"
            )
    return [
        FieldFiles(
            donor=donor,
            name=name,
            brightfield={plane: found[plane] for plane in data.brightfield_channels if plane in found},
            stains={stain: found[stain] for stain in data.stains if stain in found},
            crops=dict(sorted(crops.get((donor, name), {}).items())),
        )
        for (donor, name), found in sorted(images.items())
    ]


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


def _matches(root: Path, pattern: str, choices: Mapping[str, Iterable[str]]) -> Iterable[tuple[dict[str, str], Path]]:
    expression = pattern_to_regex(pattern, choices)
    for path in sorted(root.rglob("*")):
        match = expression.fullmatch(path.relative_to(root).as_posix())
        if match and path.is_file():
            yield match.groupdict(), path


def _what_is_there(root: Path) -> str:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()][:3]
    if not files:
        return "the folder is empty"
    return "there are files like " + ", ".join(path.relative_to(root).as_posix() for path in files)
