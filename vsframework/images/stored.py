"""What a decoder found in a file, and how colour samples become channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsframework.errors import VsfError
from vsframework.images.image import MAX_SAMPLES
from vsframework.readers import StoredPlanes

RGB = ("R", "G", "B")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Samples as they stand in a file, with what the file says about them.

    Attributes
    ----------
    pixels
        [C, H, W].
    names
        Channel names, or none, or a number of them that does not fit: the file's own word.
    pixel_size_um
        In µm, or None.
    bit_depth
        Significant bits as declared; may contradict `pixels`.
    """

    pixels: npt.NDArray[np.generic]
    names: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    bit_depth: int


def refuse_oversize(path: Path, samples: int) -> None:
    """Stop before memory is taken for a file that declares more samples than an image may have."""
    if samples > MAX_SAMPLES:
        raise VsfError(
            f"{path} declares {samples} samples, more than the {MAX_SAMPLES} that are read at once: "
            "it is damaged, or has to be split into smaller fields"
        )


def channels_of(
    path: Path, samples: npt.NDArray[np.generic], *, colour: bool, alpha: bool
) -> tuple[npt.NDArray[np.generic], tuple[str, ...]]:
    """Turn samples [C, S, H, W] into channels [C, H, W], and name them where colour does.

    Parameters
    ----------
    path
        For the error's sentence.
    samples
        C pages of S samples per pixel.
    colour
        Whether the first three samples are red, green and blue.
    alpha
        Whether the last sample is opacity.
    """
    if alpha and samples.shape[1] > 1:
        opacity = samples[:, -1]
        if (opacity != opacity.flat[0]).any():
            raise VsfError(
                f"{path} is partly transparent, so its counts are not certain: save it without an alpha channel"
            )
        samples = samples[:, :-1]
    if samples.shape[1] == 1:
        return samples[:, 0], ()
    if colour and samples.shape[1] == 3 and (samples == samples[:, :1]).all():
        return np.ascontiguousarray(samples[:, 0]), ()
    if samples.shape[0] == 1:
        return samples[0], RGB if colour and samples.shape[1] == 3 else ()
    raise VsfError(f"{path} holds {samples.shape[0]} pages in colour: save one file per page, or grey channels")


def whole_planes(stored: Stored) -> StoredPlanes:
    """Offer what was read already, since colour has to be looked at to know its channels."""
    pixels = stored.pixels

    def read(t: int, c: int, z: int, rows: slice, columns: slice) -> npt.NDArray[np.generic]:
        return pixels[c, rows, columns]

    count, height, width = pixels.shape
    dtype: np.dtype[Any] = pixels.dtype
    return StoredPlanes(
        shape=(1, count, 1, height, width),
        dtype=dtype,
        read=read,
        channels=stored.names,
        pixel_size_um=stored.pixel_size_um,
        bit_depth=stored.bit_depth,
        chunk=(height, width),
    )
