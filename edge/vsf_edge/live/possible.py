"""Keeps what is shown and recorded to what a quantity can be: no DFI below 0 or above 1.

This comes after the values over a track: their widths are those of whole intervals (`vsf_edge.steady`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vsf_edge.frames import FrameResult, Readout

Ranges = Mapping[str, tuple[float, float]]


def possible(result: FrameResult, ranges: Ranges) -> FrameResult:
    """Give `result` with no interval beyond `ranges`, by quantity; true values lie inside, so none is lost."""
    if not ranges:
        return result
    cells = tuple(
        replace(cell, quantities=_inside(cell.quantities, ranges), steady=_inside(cell.steady, ranges))
        for cell in result.cells
    )
    return replace(result, cells=cells)


def _inside(readouts: Mapping[str, Readout], ranges: Ranges) -> dict[str, Readout]:
    found = dict(readouts)
    for name in readouts.keys() & ranges.keys():
        readout, (lowest, highest) = readouts[name], ranges[name]
        if readout.low < lowest or readout.high > highest:  # never where there is no interval
            found[name] = replace(
                readout, low=min(max(readout.low, lowest), highest), high=max(min(readout.high, highest), lowest)
            )
    return found
