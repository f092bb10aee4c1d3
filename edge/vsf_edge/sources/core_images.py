"""An image and its tags, as Micro-Manager's core gives them, as a frame."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cv2
import numpy as np

from vsf_edge.errors import CorruptFrameError
from vsf_edge.frames import Frame, Pixels

_OLDEST_S = 60.0  # an image that seems to have waited longer was stamped by another clock


@dataclass(frozen=True, kw_only=True)
class CoreImage:
    """What the images of a camera have in common."""

    bit_depth: int = 16
    pixel_size_um: float | None = None
    exposure_ms: float = 0.0


def frame_of_core(pixels: Any, tags: Mapping[str, Any], known: CoreImage, fallback: int) -> Frame:
    """Make a frame of an image of the core and its tags.

    ``ImageNumber`` is its number (`fallback` where there is none), ``TimeReceivedByCore`` says how long it has waited.
    Colour becomes grey.

    Raises
    ------
    CorruptFrameError
        When these are no counts of a camera.
    """
    metadata = {str(name): _value(value) for name, value in tags.items()}
    metadata.setdefault("Exposure-ms", known.exposure_ms)
    number = metadata.get("ImageNumber")
    now, today = time.monotonic(), time.time()
    waited = _waited(metadata.get("TimeReceivedByCore"), today)
    return Frame(
        pixels=_grey(np.asarray(pixels)),
        number=number if isinstance(number, int) and not isinstance(number, bool) else fallback,
        captured=now - waited,
        time=today - waited,
        bit_depth=known.bit_depth,
        pixel_size_um=known.pixel_size_um,
        metadata=metadata,
    )


def _grey(pixels: np.ndarray[Any, Any]) -> Pixels:
    if pixels.dtype not in (np.uint8, np.uint16):
        raise CorruptFrameError(f"the camera gives {pixels.dtype} pixels; uint8 and uint16 are read")
    if pixels.ndim == 2:
        return pixels
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_RGB2GRAY), pixels.dtype)


def _value(value: Any) -> str | int | float | None:
    """Give a tag as the number that it is, or as text."""
    text = str(value)
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else None


def _waited(received: object, today: float) -> float:
    """Give the seconds since the core got an image; 0 where nothing sensible is known."""
    try:
        waited = today - datetime.fromisoformat(str(received)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
    return waited if 0 <= waited <= _OLDEST_S else 0.0
