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

LINE = 22
"""Height in pixels of a line of text below the picture."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK: Colour = (16, 18, 22)


def annotate(result: FrameResult, session: LiveSession, painter: Painter, scales: Mapping[str, Scale]) -> Image:
    """Give brightfield and stains side by side, heads outlined with their value, and lines of text below: [h, w, 3]."""
    brightfield, stains, _ = painter.fields(result)
    grey = np.asarray(cv2.cvtColor(brightfield, cv2.COLOR_GRAY2BGR), np.uint8)
    quantity = next((item.name for item in session.manifest.quantities), "")
    reduction = painter.reduction(result)
    for cell in result.cells:
        _outline(grey, cell, reduction, quantity, scales.get(quantity, Scale(0, 1)))
        if cell.abstained:
            _outline(stains, cell, reduction, "", Scale(0, 1))
    both = np.concatenate([grey, stains], axis=1)
    lines = _lines(result, session, quantity)
    foot = np.full((LINE * len(lines) + 8, both.shape[1], 3), _DARK, np.uint8)
    for index, line in enumerate(lines):
        cv2.putText(foot, line, (8, LINE * (index + 1) - 4), _FONT, 0.5, (230, 230, 230), 1, cv2.LINE_AA)
    return np.concatenate([both, foot])


def _outline(picture: Image, cell: LiveCell, reduction: Reduction, quantity: str, scale: Scale) -> None:
    found = cell.detection
    middle = (round(reduction.place(found.x)), round(reduction.place(found.y)))
    along, across = (max(2, round(share * found.length / reduction.factor)) for share in OUTLINE)
    steady = None if cell.abstained else cell.steady.get(quantity)
    value = steady.value if steady is not None and steady.frames else math.nan
    colour = ABSTAINED if math.isnan(value) else scale.colour(value)
    degrees = math.degrees(found.angle)
    parts = [(0, 360)] if not math.isnan(value) else [(start, start + 20) for start in range(0, 360, 40)]
    for shade, width in ((_DARK, 4), (colour, 2)):
        for start, end in parts:
            cv2.ellipse(picture, middle, (along, across), degrees, start, end, shade[::-1], width, cv2.LINE_AA)
    text = "?" if math.isnan(value) else f"{value:.2f}"
    place = (middle[0] + across, middle[1] - across)
    for shade, width in ((_DARK, 4), (colour, 1)):
        cv2.putText(picture, text, place, _FONT, 0.5, shade[::-1], width, cv2.LINE_AA)


def _lines(result: FrameResult, session: LiveSession, quantity: str) -> list[str]:
    good = sum(1 for cell in result.cells if not cell.abstained)
    lost = ", ".join(f"{count} {reason}" for reason, count in result.dropped.items() if count) or "none"
    use = session.manifest.intended_use
    lines = [
        f"frame {result.frame.number}   {len(result.cells)} cells, {good} with a {quantity or 'number'}   "
        f"{result.latency_ms:.0f} ms   lost: {lost}",
        ("TRAINED ON SIMULATED CELLS   " if session.simulated else "") + use[:1].upper() + use[1:],
    ]
    if result.problem:
        lines.insert(0, result.problem)
    return [line.encode("ascii", "replace").decode() for line in lines]
