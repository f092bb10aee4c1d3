"""The files of one field of view, and where in them each channel is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vsframework.errors import UsageError
from vsframework.images import is_zarr


@dataclass(frozen=True, kw_only=True)
class Within:
    """Where a channel is in a file that holds several.

    Attributes
    ----------
    channel
        Its name in the file; None for the only one.
    panel
        Which of how many images side by side, counted from 0 at the left; None for the whole width.
    """

    channel: str | None = None
    panel: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class FieldFiles:
    """The files of one field of view.

    Attributes
    ----------
    donor, name
        Whose field it is, and which.
    brightfield, stains
        Its images by channel, in the order of the experiment file; a channel without a file is missing.
    within
        Where in its file a channel is, by channel; without an entry it is all of the file.
    crops
        Brightfield crops of its cells, by cell name; empty where cells are to be detected.
    """

    donor: str
    name: str
    brightfield: Mapping[str, Path] = field(default_factory=dict)
    stains: Mapping[str, Path] = field(default_factory=dict)
    within: Mapping[str, Within] = field(default_factory=dict)
    crops: Mapping[str, Path] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What names the field in a table: ``donor/field``."""
        return f"{self.donor}/{self.name}"

    @property
    def files(self) -> list[Path]:
        """Every file of the field, and every folder that is one image, once."""
        return list(dict.fromkeys([*self.brightfield.values(), *self.stains.values(), *self.crops.values()]))


def images_below(root: Path) -> Iterator[Path]:
    """Give every file under `root` in order; an OME-Zarr folder counts as one file.

    A folder may be a link, as where a study is put together from several disks; one that leads back above itself is not
    followed.
    """
    for folder, names, files in os.walk(root, followlinks=True):
        here = Path(folder)
        if here.is_symlink() and here.resolve() in [parent.resolve() for parent in here.parents]:
            names.clear()
            continue
        whole = {name for name in names if is_zarr(here / name)}
        names[:] = sorted(set(names) - whole)
        yield from (here / name for name in sorted([*files, *whole]) if name in whole or (here / name).is_file())


def what_is_there(root: Path) -> str:
    """Name a few files under `root`, for an error's sentence."""
    files = [path for path, _ in zip(images_below(root), range(3), strict=False)]
    if not files:
        return "the folder is empty"
    return "there are files like " + ", ".join(path.relative_to(root).as_posix() for path in files)


def refuse_twice(earlier: Path, path: Path, what: str, remedy: str = "make data.pattern stricter") -> None:
    """Stop where two files claim to be the same channel of the same field, or the same cell."""
    if earlier != path:
        raise UsageError(f"{earlier} and {path} are both {what}; {remedy}")
