"""One picture that says everything, for where no script runs: brightfield with outlined heads beside the stains."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.frames import FrameResult, LiveCell, LiveSession
from vsf_edge.web.colours import ABSTAINED, Colour, Scale
from vsf_edge.web.painting import Painter
from vsf_edge.web.placing import OUTLINE, Reduction

Image = npt.NDArray[np.uint8]

SHOWN_WIDE = 1000
"""Pixels that a browser gives the picture about: lines and letters of a wider one are drawn as much larger."""

LINE = 22
"""Height of a line of text below the picture, in pixels as shown."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK: Colour = (16, 18, 22)
_WHITE: Colour = (255, 255, 255)


def annotate(result: FrameResult, session: LiveSession, painter: Painter, scales: Mapping[str, Scale]) -> Image:
    """Give brightfield and stains side by side, heads outlined with their value, and lines of text below: [h, w, 3]."""
    brightfield, four, _ = painter.fields(result)
    grey = np.asarray(cv2.cvtColor(brightfield, cv2.COLOR_GRAY2BGR), np.uint8)
    stains = np.asarray(cv2.cvtColor(four, cv2.COLOR_BGRA2BGR), np.uint8)
    quantity = next((item.name for item in session.manifest.quantities), "")
    reduction = painter.reduction(result)
    zoom = max(1.0, 2 * grey.shape[1] / SHOWN_WIDE)
    for cell in result.cells:
        _outline(grey, cell, reduction, quantity, scales.get(quantity, Scale(0, 1)), zoom)
        if cell.abstained:
            _outline(stains, cell, reduction, "", Scale(0, 1), zoom)
    both = np.concatenate([grey, stains], axis=1)
    lines = _lines(result, session, quantity)
    high = round(LINE * zoom)
    foot = np.full((high * len(lines) + high // 3, both.shape[1], 3), _DARK[::-1], np.uint8)
    for index, line in enumerate(lines):
        place = (round(8 * zoom), high * (index + 1) - round(4 * zoom))
        cv2.putText(foot, line, place, _FONT, 0.5 * zoom, _WHITE, round(zoom), cv2.LINE_AA)
    return np.concatenate([both, foot])


def _outline(picture: Image, cell: LiveCell, reduction: Reduction, quantity: str, scale: Scale, zoom: float) -> None:
    """Draw the outline of a head in the colour of its value, and the value above it, white on dark."""
    found = cell.detection
    middle = (round(reduction.place(found.x)), round(reduction.place(found.y)))
    along, across = (max(2, round(share * found.length / reduction.factor)) for share in OUTLINE)
    steady = None if cell.abstained else cell.steady.get(quantity)
    value = steady.value if steady is not None and steady.frames else math.nan
    colour = ABSTAINED if math.isnan(value) else scale.colour(value)
    degrees = math.degrees(found.angle)
    parts = [(0, 360)] if not math.isnan(value) else [(start, start + 20) for start in range(0, 360, 40)]
    for shade, width in ((_DARK, round(4 * zoom)), (colour, round(2 * zoom))):
        for start, end in parts:
            cv2.ellipse(picture, middle, (along, across), degrees, start, end, shade[::-1], width, cv2.LINE_AA)
    reach = math.hypot(along * math.sin(found.angle), across * math.cos(found.angle))
    _label(picture, "?" if math.isnan(value) else f"{value:.2f}", middle[0], round(middle[1] - reach - 6 * zoom), zoom)


def _label(picture: Image, text: str, x: int, y: int, zoom: float) -> None:
    """Write `text` centred on `x` and ending at `y`, or as near as it fits, on a dark ground."""
    (width, height), below = cv2.getTextSize(text, _FONT, 0.5 * zoom, round(zoom))
    edge = round(3 * zoom)
    left = min(max(x - width // 2, edge), max(edge, picture.shape[1] - width - edge))
    bottom = max(y, height + edge)
    cv2.rectangle(
        picture, (left - edge, bottom - height - edge), (left + width + edge, bottom + below), _DARK[::-1], -1
    )
    cv2.putText(picture, text, (left, bottom), _FONT, 0.5 * zoom, _WHITE, round(zoom), cv2.LINE_AA)


def _lines(result: FrameResult, session: LiveSession, quantity: str) -> list[str]:
    good = sum(1 for cell in result.cells if not cell.abstained)
    lost = ", ".join(f"{count} {reason}" for reason, count in result.dropped.items() if count) or "none"
    use = session.manifest.intended_use
    name = "DFI" if quantity == "dfi" else quantity or "number"
    lines = [
        f"frame {result.frame.number}   {len(result.cells)} cells, {good} with a {name}   "
        f"{result.latency_ms:.0f} ms   lost: {lost}",
        ("TRAINED ON SIMULATED CELLS   " if session.simulated else "") + use[:1].upper() + use[1:],
    ]
    if result.problem:
        lines.insert(0, result.problem)
    return [line.encode("ascii", "replace").decode() for line in lines]
