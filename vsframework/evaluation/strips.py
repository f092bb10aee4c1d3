"""Example strips: brightfield, true, virtual and difference as pictures inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.image import imsave

from vsframework.evaluation.examples import Example

TINTS = ((90, 255, 120), (255, 84, 64), (110, 170, 255), (255, 210, 80))
"""Colours of the stains in order, at full intensity: acridine orange is green on dsDNA and red on ssDNA."""
MORE, LESS = (255, 120, 60), (70, 150, 255)
"""Where the virtual stain is brighter, and where it is darker than the true one."""
DIFFERENCE_SHARE = 0.5
"""Differences are drawn brighter than the stains: at full brightness from this share of the stain's scale on."""

ByteImage = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class StainStrip:
    """One stain of one cell as pictures (data addresses); `full_scale` counts are drawn at full brightness.

    In the difference `difference_scale` counts are.
    """

    stain: str
    true: str
    virtual: str
    difference: str
    full_scale: float
    difference_scale: float


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One cell as pictures, and which rule chose it."""

    rule: str
    cell: str
    brightfield: str
    stains: tuple[StainStrip, ...]


def draw_strip(example: Example, stains: tuple[str, ...]) -> Strip:
    """Draw `example`: true, virtual and difference of a stain share one linear scale, so that they can be compared."""
    low, high = (float(value) for value in np.quantile(example.brightfield, [0.001, 0.999]))
    grey = np.clip((example.brightfield - low) / ((high - low) or 1), 0, 1)
    drawn = []
    for channel, stain in enumerate(stains):
        true, virtual = example.true[channel], example.virtual[channel]
        scale = float(max(np.quantile(true, 0.999), np.quantile(virtual, 0.999))) or 1.0
        limit = scale * DIFFERENCE_SHARE
        tint = TINTS[channel % len(TINTS)]
        drawn.append(
            StainStrip(
                stain=stain,
                true=_png(_tinted(true / scale, tint)),
                virtual=_png(_tinted(virtual / scale, tint)),
                difference=_png(_tinted((virtual - true) / limit, MORE) + _tinted((true - virtual) / limit, LESS)),
                full_scale=scale,
                difference_scale=limit,
            )
        )
    brightfield = _png((255 * np.repeat(grey[..., None], 3, axis=2)).astype(np.uint8))
    return Strip(rule=example.rule, cell=example.cell, brightfield=brightfield, stains=tuple(drawn))


def _tinted(share: npt.NDArray[np.floating], tint: tuple[int, int, int]) -> ByteImage:
    colored: ByteImage = (np.clip(share, 0, 1)[..., None] * np.array(tint, dtype=float)).astype(np.uint8)
    return colored


def _png(pixels: ByteImage) -> str:
    file = io.BytesIO()
    imsave(file, pixels, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
