"""Pictures of detections: an outline around each head, and a line from its middle to the tip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vsframework.atomic import atomic_path
from vsframework.interfaces import Detection

OUTLINE, TIP = (90, 200, 90), (60, 90, 255)
"""Blue-green-red."""

Picture = npt.NDArray[np.uint8]


def field_picture(image: npt.NDArray[np.generic], found: Sequence[Detection], scale: float = 0.4) -> Picture:
    """Draw `found` into `image` [H, W], shown from its darkest to its brightest count: uint8 [h, w, 3].

    In steps of 8 grey levels, so that noise does not make a large file.
    """
    counts = image.astype(np.float32)
    low, high = np.percentile(counts, (0.1, 99.9))
    shown = np.clip((counts - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
    small = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(small // 8 * 8, cv2.COLOR_GRAY2BGR)
    for head in found:
        middle = (round(head.x * scale), round(head.y * scale))
        reach = head.length / 2 * scale
        tip = (
            round(middle[0] + 1.4 * reach * math.cos(head.angle)),
            round(middle[1] + 1.4 * reach * math.sin(head.angle)),
        )
        axes = (round(1.1 * reach), round(0.75 * reach))
        cv2.ellipse(picture, middle, axes, math.degrees(head.angle), 0, 360, OUTLINE, 1, cv2.LINE_AA)
        cv2.line(picture, middle, tip, TIP, 1, cv2.LINE_AA)
    return np.asarray(picture, dtype=np.uint8)


def sheet_picture(pictures: Sequence[Picture], columns: int = 9) -> Picture:
    """Put equally large `pictures` into rows of `columns`; what is left over stays black."""
    blank = np.zeros_like(pictures[0])
    padded = [*pictures, *[blank] * (-len(pictures) % columns)]
    rows = [np.hstack(padded[first : first + columns]) for first in range(0, len(padded), columns)]
    return np.vstack(rows)


def write_picture(path: Path, pictures: Sequence[Picture]) -> None:
    """Write `pictures` of one width below each other, as PNG."""
    done, encoded = cv2.imencode(".png", np.vstack(pictures))
    if not done:
        raise RuntimeError("OpenCV could not encode the picture as PNG")
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
