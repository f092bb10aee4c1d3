"""Images on disk: brightfield to stained OME-TIFF, and stains to named values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vsframework.dataset.geometry import resize
from vsframework.dataset.planes import read_planes
from vsframework.errors import VsfError
from vsframework.images import FieldChoice, Image, read_image, write_ome_tiff
from vsframework.inference.magnification import OtherPixelSize, magnification
from vsframework.inference.stacks import Source
from vsframework.inference.stainer import Stainer
from vsframework.interfaces import Denoiser, Quantifier

BRIGHTFIELD_NAMES = frozenset({"brightfield", "bf", "bright", "phase"})
"""Channels of these names (any case) are not stains."""


def stain_file(
    stainer: Stainer,
    source: Source,
    target: Path,
    scale: float | None = None,
    other_pixel_size: OtherPixelSize = "refuse",
) -> Image:
    """Stain the brightfield image `source` into the OME-TIFF `target`, whole or not at all.

    `target` has one float32 channel of counts per stain, the size and pixel size of `source`; its description says at
    which magnification it was stained.

    Parameters
    ----------
    source
        A file, or one for every plane (`vsframework.inference.stacks.group_planes`).
    scale
        Pixels of a training patch per pixel of `source`; None for :func:`~.magnification.magnification`.
    other_pixel_size
        What to do where `source` has another pixel size than the run was trained on.

    Raises
    ------
    VsfError
        When `source` cannot be read, lacks planes, holds several channels of which none is brightfield, or has the
        wrong bit depth or pixel size.
    """
    scaled, images, (height, width) = scaled_brightfield(stainer, source, scale, other_pixel_size)
    stains = stainer.stain(scaled[None])[0]
    pixels = np.stack([resize(stain, height, width) for stain in stains])
    result = Image(
        pixels=pixels, channels=stainer.stains, pixel_size_um=images[0].pixel_size_um, bit_depth=32, path=target
    )
    chosen = magnification(stainer, (height, width), images[0].pixel_size_um, images[0].path, scale, other_pixel_size)
    write_ome_tiff(target, result, note=chosen.note)
    return result


def scaled_brightfield(
    stainer: Stainer, source: Source, scale: float | None = None, other_pixel_size: OtherPixelSize = "refuse"
) -> tuple[npt.NDArray[np.float32], Sequence[Image], tuple[int, int]]:
    """Read `source` at the magnification of the training patches.

    Returns
    -------
    brightfield
        float32 [P, H, W], counts.
    images
        As read.
    shape
        Height and width before scaling, in pixels.

    Raises
    ------
    VsfError
        As :func:`stain_file`.
    """
    brightfield, images = read_brightfield(stainer, source)
    for image in images:
        check_depth(stainer, image.bit_depth, image.path)
    height, width = brightfield.shape[1:]
    chosen = magnification(stainer, (height, width), images[0].pixel_size_um, images[0].path, scale, other_pixel_size)
    scale = chosen.scale
    scaled_height, scaled_width = max(1, round(height * scale)), max(1, round(width * scale))
    scaled = np.stack([resize(plane, scaled_height, scaled_width) for plane in brightfield])
    return scaled, images, (height, width)


def measure_file(
    source: Path, quantifier: Quantifier, denoiser: Denoiser | None = None, stains: Sequence[str] = ()
) -> dict[str, float]:
    """Measure the stains in the image `source`: named values.

    Parameters
    ----------
    denoiser
        Removes the background first; None for stains that have none (virtual ones, for example).
    stains
        Channels to use, the reference stain first; all but brightfield, in the order of the file, if empty.

    Raises
    ------
    VsfError
        When `source` cannot be read or lacks a channel.
    """
    image = read_image(source)
    names = tuple(stains) or tuple(name for name in image.channels if name.casefold() not in BRIGHTFIELD_NAMES)
    if not names:
        raise VsfError(f"{source} has no stain: its channels are {', '.join(image.channels)}")
    pixels = np.stack([image.plane(name) for name in names])
    counts = denoiser.denoise(pixels).stains if denoiser else pixels.astype(np.float32)
    if float(counts.min()) < 0:
        raise VsfError(f"{source} holds negative counts; measure images that were not background-corrected elsewhere")
    try:
        measured = quantifier.measure(counts, names)
    except VsfError as error:
        raise type(error)(f"{source}: {error}") from error
    return {name: float(value) for name, value in measured.items()}


def read_brightfield(stainer: Stainer, source: Source) -> tuple[npt.NDArray[np.generic], list[Image]]:
    """Read brightfield [P, H, W], counts, as the run was trained on it, and the images it came from."""
    if not isinstance(source, Path):
        return read_planes(stainer.experiment.data, source)
    image = read_image(source, selection(stainer))
    return image.pixels[list(brightfield_channels(stainer, image.channels, source))], [image]


def selection(stainer: Stainer) -> FieldChoice:
    """Say what is read of a z stack: all planes where the run was trained on several."""
    return FieldChoice(z="refuse" if stainer.in_channels == 1 else "planes")


def check_depth(stainer: Stainer, bit_depth: int, path: Path | None) -> None:
    """Refuse an image of another bit depth than the run was trained on.

    Raises
    ------
    VsfError
        When it has another.
    """
    trained = int(stainer.info["bit_depth"])
    if bit_depth != trained:
        raise VsfError(
            f"{path} has {bit_depth} bits and this run was trained on {trained}-bit images, so counts mean something "
            "else in it; give images of the same camera setting"
        )


def brightfield_channels(stainer: Stainer, channels: Sequence[str], path: Path) -> tuple[int, ...]:
    """Give which of the `channels` of an image are the brightfield planes, in the order of training.

    One plane: the only channel, or the one that is called so. Several: by their names, or all there are.

    Raises
    ------
    VsfError
        When that cannot be told, or their number is wrong.
    """
    data = stainer.experiment.data
    if stainer.in_channels > 1:
        if set(data.planes) <= set(channels):
            return tuple(channels.index(name) for name in data.planes)
        if len(channels) != stainer.in_channels:
            raise VsfError(
                f"{path} holds {len(channels)} planes and this run was trained on {stainer.in_channels} "
                f"({data.planes[0]} to {data.planes[-1]}); give them in one file, or every one in a file of its own"
            )
        return tuple(range(len(channels)))
    if len(channels) == 1:
        return (0,)
    preferred = data.brightfield_channels[0]
    known = BRIGHTFIELD_NAMES | {preferred.casefold()}
    found = [index for index, name in enumerate(channels) if name.casefold() in known]
    if len(found) != 1:
        raise VsfError(
            f"{path} holds {', '.join(channels)}, and which of them is brightfield cannot be told: name one channel "
            f"{preferred!r}, or save it alone"
        )
    return (found[0],)
