"""Which image of a file that holds several: the one asked for, or the only one that is no thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vsframework.errors import VsfError

THUMBNAIL = 1 / 3
"""An image with a smaller share of the largest one's area is its thumbnail, or a level of its pyramid (a quarter)."""

LISTED = 6


def choose_scene(
    path: Path, sizes: Sequence[tuple[int, int]], names: Sequence[str], scene: int | None, here: Sequence[bool] = ()
) -> int:
    """Give the number of the image to read.

    Parameters
    ----------
    sizes
        Width and height of every image in the order of the file, thumbnails too.
    names
        As the file has them; empty where it has none.
    scene
        The one asked for; None for the only one that is no thumbnail.
    here
        Of a set of files, which images have pixels in `path`: one of those is meant where nothing is asked for.
        Empty for all.

    Raises
    ------
    VsfError
        When there is none, none of this number, or several and none was asked for.
    """
    areas = [width * height for width, height in sizes]
    meant = [area if not here or here[index] else 0 for index, area in enumerate(areas)]
    if not max(meant, default=0):
        raise VsfError(f"{path} holds no image: copy it again from where it was recorded")
    if scene is not None:
        if not 0 <= scene < len(areas) or not areas[scene]:
            raise VsfError(f"{path} has no scene {scene}: it holds {_listed(sizes, names)}, counted from 0")
        return scene
    candidates = [index for index, area in enumerate(meant) if area >= THUMBNAIL * max(meant)]
    if len(candidates) > 1:
        raise VsfError(
            f"{path} holds {_listed(sizes, names)}: say which one by its number, from 0 (scene), or save one file for "
            "each"
        )
    return candidates[0]


def _listed(sizes: Sequence[tuple[int, int]], names: Sequence[str]) -> str:
    """Say how many images there are, and of the first few the number, the name and the size."""
    if len(sizes) == 1:
        return "one image"
    words = [f"{index}: {f'{name[:40]} ' if name else ''}{width}x{height}"
             for index, (name, (width, height)) in enumerate(zip(names, sizes, strict=True))]  # fmt: skip
    return f"{len(sizes)} images ({', '.join(words[:LISTED])}{', ...' if len(words) > LISTED else ''})"
