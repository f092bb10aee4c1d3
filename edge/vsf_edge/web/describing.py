"""What the page is told in words and numbers: about the session once, about every frame beside its pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from vsf_edge.frames import FrameResult, LiveCell, LiveSession
from vsf_edge.web.colours import ABSTAINED, STOPS
from vsf_edge.web.messages import number, readouts
from vsf_edge.web.painting import COLUMNS, MOST_LISTED, THUMBNAIL, Painter
from vsf_edge.web.placing import OUTLINE, Reduction
from vsf_edge.web.tally import Tally


def describe_session(session: LiveSession, fps: float) -> dict[str, Any]:
    """Describe the session: what does not change while it runs."""
    manifest = session.manifest
    return {
        "bundle": session.bundle_sha256,
        "simulated": session.simulated,
        "intended_use": manifest.intended_use,
        "engine": session.engine,
        "source": session.source,
        "mode": session.mode,
        "policy": session.policy,
        "stains": [stain.name for stain in manifest.stains],
        "quantities": [
            {"name": quantity.name, "unit": quantity.unit, "description": quantity.description}
            for quantity in manifest.quantities
        ],
        "fps": fps,
        "colours": {"scale": STOPS, "abstained": ABSTAINED},
        "outline": OUTLINE,
        "thumbnails": {"side": THUMBNAIL, "columns": COLUMNS, "most": MOST_LISTED},
    }


def describe_frame(result: FrameResult, painter: Painter, tally: Tally, rate: float, quantities: Any) -> dict[str, Any]:
    """Describe one frame and its cells; positions are in pixels of the pictures."""
    frame, reduction = result.frame, painter.reduction(result)
    return {
        "sequence": result.sequence,
        "number": frame.number,
        "time": frame.time,
        "size": [frame.pixels.shape[1], frame.pixels.shape[0]],
        "bit_depth": frame.bit_depth,
        "reduced": reduction.factor,
        "micrometres": None if frame.pixel_size_um is None else number(frame.pixel_size_um * reduction.factor),
        "problem": result.problem,
        "latency_ms": number(result.latency_ms),
        "shown_ms": number(1000 * (time.monotonic() - frame.captured)),
        "stages_ms": _rounded(result.stages_ms),
        "queues": dict(result.queues),
        "dropped": dict(result.dropped),
        "rate": number(rate, 3),
        "levels": {
            "brightfield": [number(painter.brightfield.low, 4), number(painter.brightfield.high, 4)],
            "stains": [[number(levels.low, 4), number(levels.high, 4)] for levels in painter.stains],
        },
        "distributions": {name: _distribution(tally, name) for name in quantities},
        "cells": [_cell(cell, reduction) for cell in result.cells],
    }


def _cell(cell: LiveCell, reduction: Reduction) -> dict[str, Any]:
    found = cell.detection
    return {
        "track": cell.track,
        "x": round(reduction.place(found.x), 1),
        "y": round(reduction.place(found.y), 1),
        "angle": round(found.angle, 3),
        "length": round(found.length / reduction.factor, 1),
        "score": number(found.score, 3),
        "now": readouts(cell.quantities),
        "steady": readouts(cell.steady),
        "abstained": cell.abstained,
    }


def _distribution(tally: Tally, name: str) -> dict[str, Any]:
    found = tally.distribution(name)
    return {
        "low": found.scale.low,
        "high": found.scale.high,
        "counts": found.counts,
        "cells": found.cells,
        "median": number(found.median),
    }


def _rounded(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: number(value, 3) for name, value in values.items()}
