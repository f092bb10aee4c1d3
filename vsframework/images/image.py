"""An image: pixels that never travel without their channel names, pixel size and bit depth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsframework.errors import VsfError

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
"""What pixels may be: camera counts, or finite 32-bit floats."""

MAX_SAMPLES = 2**29
"""Channels x height x width of the largest image (1 GiB as uint16); a file that declares more is refused unread."""

MAX_CHANNELS = 64
"""More same-shaped pages than this are a time series or a z stack that does not say so, not channels."""

PIXEL_SIZE_RANGE_UM = (1e-4, 1e5)
"""0.1 nm to 10 cm: beyond it a pixel size is a mistake of unit, and TIFF cannot hold its reciprocal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """One field or patch with everything a measurement needs to know about it.

    Attributes
    ----------
    pixels
        [C, H, W], uint8 or uint16 counts, or finite float32; linear. None of C, H, W is 0.
    channels
        C different names, in the order of `pixels`.
    pixel_size_um
        Side of a square pixel in µm, 1e-4 to 1e5; None where unknown.
    bit_depth
        How many bits of an integer sample are significant (a 12-bit camera in uint16: 12); 32 for float32.
    path
        The file it came from, if any.

    Raises
    ------
    VsfError
        When these do not fit together; the sentence names `path` where there is one.

    Examples
    --------
    >>> import numpy as np
    >>> from vsframework.images import Image
    >>> field = Image(pixels=np.zeros((2, 4, 6), np.uint16), channels=("dsDNA", "ssDNA"), bit_depth=12)
    >>> field.plane("ssDNA").shape
    (4, 6)
    """

    pixels: npt.NDArray[np.generic]
    channels: tuple[str, ...]
    pixel_size_um: float | None = None
    bit_depth: int
    path: Path | None = None

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Hold this image against its own rules once more: its array may have been changed since it was made.

        Raises
        ------
        VsfError
            Says which rule is broken.
        """
        problem = (
            _pixel_problem(self.pixels)
            or _channel_problem(self.channels, len(self.pixels))
            or _pixel_size_problem(self.pixel_size_um)
            or _bit_depth_problem(self.bit_depth, self.pixels)
        )
        if problem:
            raise VsfError(f"{self.path or 'the image'} {problem}")

    def plane(self, channel: str | None = None) -> npt.NDArray[np.generic]:
        """Give one channel [H, W] as a view; without a name, the only one.

        Raises
        ------
        VsfError
            When there is no such channel, or several and no name.
        """
        where = self.path or "the image"
        if channel is None:
            if len(self.channels) > 1:
                raise VsfError(
                    f"{where} holds {len(self.channels)} channels ({', '.join(self.channels)}) where one is needed: "
                    "say which, or save that channel alone"
                )
            channel = self.channels[0]
        plane: npt.NDArray[np.generic] = self.pixels[find_channel(where, self.channels, channel)]
        return plane


def find_channel(where: Path | str, channels: tuple[str, ...], channel: str) -> int:
    """Give the place of `channel` among `channels`; `where` is named in the error if there is none."""
    if channel not in channels:
        close = [name for name in channels if name.casefold() == channel.casefold()]
        close = close or get_close_matches(channel, channels, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(channels)}"
        raise VsfError(f"{where} has no channel {channel!r}; {hint}")
    return channels.index(channel)


def dtype_bits(dtype: np.dtype[Any]) -> int:
    """Give the number of bits of one sample of `dtype`."""
    return dtype.itemsize * 8


def _pixel_problem(pixels: npt.NDArray[np.generic]) -> str | None:
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 3:
        shape = getattr(pixels, "shape", type(pixels).__name__)
        return f"has pixels of shape {shape} where [channels, height, width] is needed"
    if 0 in pixels.shape:
        return f"is empty: its pixels have shape {pixels.shape}"
    if pixels.shape[0] > MAX_CHANNELS:
        return f"has {pixels.shape[0]} channels; at most {MAX_CHANNELS} can be held, split it"
    if pixels.size > MAX_SAMPLES:
        return f"has {pixels.size} samples; at most {MAX_SAMPLES} can be held, split it into smaller fields"
    if pixels.dtype not in DTYPES:
        return f"holds {pixels.dtype.str} samples; save it as uint8, uint16 or float32 in this machine's byte order"
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        return "holds NaN or infinite pixels; replace them where the image was computed"
    return None


def _channel_problem(channels: tuple[str, ...], count: int) -> str | None:
    if len(channels) != count:
        return f"has {count} channels but {len(channels)} channel names ({', '.join(map(str, channels))})"
    for name in channels:
        # control characters fit neither in OME-XML nor on a plot
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            return f"has a channel named {name!r}; a name is printable text"
    if len(set(channels)) != len(channels):
        return f"has two channels of one name ({', '.join(channels)}); rename one"
    return None


def _pixel_size_problem(size: float | None) -> str | None:
    low, high = PIXEL_SIZE_RANGE_UM
    if size is None or (math.isfinite(size) and low <= size <= high):
        return None
    return f"has a pixel size of {size} µm; it must lie between {low} and {high}, or be unknown (None)"


def _bit_depth_problem(bits: int, pixels: npt.NDArray[np.generic]) -> str | None:
    width = dtype_bits(pixels.dtype)
    if pixels.dtype.kind == "f":
        return None if bits == width else f"holds float32, whose bit depth is {width}, not {bits}"
    if not 1 <= bits <= width:
        return f"declares {bits} significant bits, but its samples have {width}"
    if bits < width and int(pixels.max()) >= 2**bits:
        return f"declares {bits} significant bits but holds the count {pixels.max()}"
    return None
