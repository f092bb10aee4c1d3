"""The brightfield planes of a field: one file, a file per plane, or the pages of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vsframework.config import DataSection
from vsframework.errors import VsfError
from vsframework.images import FieldChoice, Image, read_image
from vsframework.interfaces import ImageArray


def middle_plane(count: int) -> int:
    """Give the plane, of `count`, that stands for all of them: where cells are looked for, and what is shown.

    A z stack is usually taken around the focus, so its middle plane is the sharpest guess.
    """
    return count // 2


def read_planes(data: DataSection, files: Mapping[str, Path]) -> tuple[ImageArray, list[Image]]:
    """Read the brightfield planes of a field.

    Parameters
    ----------
    data
        Which planes there should be.
    files
        Its brightfield files by channel.

    Returns
    -------
    planes
        [P, H, W] counts, in the order of ``data.planes``.
    images
        What the files hold, for their bit depths.

    Raises
    ------
    VsfError
        When a file is missing, cannot be read, holds another number of planes than ``data.pages``, or another size.
    """
    names = data.brightfield_channels
    missing = [name for name in names if name not in files]
    if missing:
        lacking = f"for {_few(missing)}" if len(names) > 1 else "with its brightfield"
        raise VsfError(f"there is no file {lacking}")
    images = [read_image(files[name], FieldChoice(z="planes")) for name in names]
    for name, image in zip(names, images, strict=True):
        if len(image.pixels) != data.pages:
            raise VsfError(
                f"{files[name].name} has {len(image.pixels)} planes where {data.pages} was expected; set data.pages = "
                f"{len(image.pixels)} if they are a z stack, else write one file per channel"
            )
    sizes = {image.pixels.shape[1:] for image in images}
    if len(sizes) > 1:
        raise VsfError("its brightfield planes have different sizes")
    return np.concatenate([image.pixels for image in images]), images


def _few(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 4 else f"{', '.join(names[:2])} and {len(names) - 2} more planes"
