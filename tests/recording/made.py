"""A live session without a loop: results of known pixels, handed to a sink as the loop does. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vsf_edge.bundle import open_bundle
from vsf_edge.frames import Detection, Frame, FrameResult, LiveCell, LiveSession, Readout


class NoControls:
    """Of a session that has no buttons."""

    paused = False
    recording: Path | None = None

    def pause(self, on: bool) -> None:
        raise AssertionError("a recording has no buttons")

    def record(self, on: bool) -> str:
        raise AssertionError("a recording has no buttons")

    def snapshot(self) -> str:
        raise AssertionError("a recording has no buttons")


def make_session(model: Path, **changes: Any) -> LiveSession:
    with open_bundle(model) as bundle:
        given: dict[str, Any] = {
            "manifest": bundle.manifest,
            "bundle_sha256": bundle.sha256,
            "simulated": True,
            "engine": "onnxruntime:cpu fp32",
            "source": "test",
            "mode": "cells",
            "policy": "all",
            "settings": {"exposure": 10.0},
            "controls": NoControls(),
        }
        return LiveSession(**{**given, **changes})


def make_frame(number: int, side: int = 32, **changes: Any) -> Frame:
    pixels = np.random.default_rng(number).integers(0, 4096, (side, side + 8), dtype=np.uint16)
    given: dict[str, Any] = {
        "pixels": pixels,
        "number": number,
        "captured": 100.0 + number / 25,
        "time": 1.7e9 + number / 25,
        "bit_depth": 12,
        "pixel_size_um": 0.13,
        "metadata": {"Exposure-ms": 10.0},
    }
    return Frame(**{**given, **changes})


def make_cell(number: int, track: int, abstained: str = "") -> LiveCell:
    brightfield = np.random.default_rng([number, track]).integers(0, 4096, (16, 16), dtype=np.uint16)
    stains = brightfield * np.array([2.25, 1.0], np.float32).reshape(2, 1, 1)
    now = Readout(value=0.25 + track / 100, low=0.2, high=0.3, frames=1)
    steady = Readout(value=0.26, low=0.24, high=0.28, frames=number + 1)
    return LiveCell(
        track=track,
        detection=Detection(x=10.5, y=12.0, angle=0.5, length=6.0, score=0.9),
        brightfield=brightfield,
        stains=stains.astype(np.float32),
        quantities={"dfi": now},
        steady={"dfi": steady},
        abstained=abstained,
    )


def make_result(sequence: int, cells: int = 2, field: bool = False, **changes: Any) -> FrameResult:
    frame = changes.pop("frame", None) or make_frame(sequence)
    stains = np.stack([2.0 * frame.pixels, 1.0 * frame.pixels]).astype(np.float32) if field else None
    given: dict[str, Any] = {
        "frame": frame,
        "sequence": sequence,
        "cells": tuple(
            make_cell(sequence, track, "out of focus" if track == 2 else "") for track in range(1, cells + 1)
        ),
        "stains": stains,
        "latency_ms": 31.25,
        "dropped": {"behind": 1, "camera": 2},
    }
    return FrameResult(**{**given, **changes})
