"""The images of a field: its brightfield planes (a file, a file per plane, the pages of a file) and its stains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vsframework.config import DataSection
from vsframework.dataset.layouts import FieldFiles, Within
from vsframework.errors import VsfError
from vsframework.images import FieldChoice, Image, open_field
from vsframework.interfaces import ImageArray

WHOLE = Within()


def middle_plane(count: int) -> int:
    """Give the plane, of `count`, that stands for all of them: where cells are looked for, and what is shown.

    A z stack is usually taken around the focus, so its middle plane is the sharpest guess.
    """
    return count // 2


def read_planes(
    data: DataSection, files: Mapping[str, Path], within: Mapping[str, Within] | None = None
) -> tuple[ImageArray, list[Image]]:
    """Read the brightfield planes of a field.

    Parameters
    ----------
    data
        Which planes there should be.
    files
        Its brightfield files by channel.
    within
        Where in its file a channel is; without an entry it is all of the file.

    Returns
    -------
    planes
        [P, H, W] counts, in the order of ``data.planes``.
    images
        What the files hold, for their bit depths and pixel sizes.

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
    choice = FieldChoice(z=data.z, time=data.time, scene=data.scene)
    images = [read_channel(files[name], (within or {}).get(name, WHOLE), choice) for name in names]
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


def read_stains(data: DataSection, files: FieldFiles) -> list[Image]:
    """Read the stains of a field, one channel each, in the order of ``data.stains``.

    Raises
    ------
    VsfError
        When one is missing, cannot be read, or is several channels.
    """
    missing = [stain for stain in data.stains if stain not in files.stains]
    if missing:
        raise VsfError(f"there is no file for {' and '.join(missing)}")
    choice = FieldChoice(z=data.stain_z, time=data.time, scene=data.scene)
    images = []
    for stain in data.stains:
        image = read_channel(files.stains[stain], files.within.get(stain, WHOLE), choice)
        if len(image.pixels) != 1:
            raise VsfError(
                f"{files.stains[stain].name} has {len(image.pixels)} channels ({', '.join(image.channels)}) where one "
                "was expected; write one file per channel, or take the layout multichannel"
            )
        images.append(image)
    return images


def read_channel(path: Path, within: Within, choice: FieldChoice) -> Image:
    """Read what `within` says of the file `path`.

    Raises
    ------
    VsfError
        When it cannot be read, has no such channel, or is too narrow for its panels.
    """
    field = open_field(path, choice)
    if within.panel is None:
        return field.image(None if within.channel is None or len(field.channels) == 1 else within.channel)
    place, count = within.panel
    width = field.shape[2] // count
    if not width:
        raise VsfError(f"{path} is {field.shape[2]} px wide, too narrow for {count} images side by side")
    left = (field.shape[2] - width) * place // (count - 1)  # what does not divide is left out between the images
    return _one_colour(path, field.image(columns=slice(left, left + width)))


def _one_colour(path: Path, image: Image) -> Image:
    """Give the counts of an image that was painted: grey, or in one pure colour."""
    if len(image.pixels) == 1:
        return image
    grey = all(np.array_equal(plane, image.pixels[0]) for plane in image.pixels)
    painted = [index for index, plane in enumerate(image.pixels) if plane.any()]
    if not grey and len(painted) > 1:
        raise VsfError(
            f"{path} shows an image in mixed colours, so its counts are not certain: save it in grey, or in pure red, "
            "green or blue"
        )
    chosen = painted[0] if painted and not grey else 0
    return Image(
        pixels=image.pixels[chosen : chosen + 1],
        channels=image.channels[chosen : chosen + 1],
        pixel_size_um=image.pixel_size_um,
        bit_depth=image.bit_depth,
        path=image.path,
    )


def _few(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 4 else f"{', '.join(names[:2])} and {len(names) - 2} more planes"
