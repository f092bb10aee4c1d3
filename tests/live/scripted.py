"""A scripted session: simulated cells that drift through the field, with known values, intervals and reasons."""

from __future__ import annotations

import math
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vsf_edge.frames import Detection, Frame, FrameResult, LiveCell, LiveSession, Readout
from vsf_edge.interfaces import Sink
from vsf_edge.manifest import Manifest, Quantity, Stain
from vsframework.simulation.fields import SimulatedField, simulate_field
from vsframework.simulation.fragmentation import draw_donor
from vsframework.simulation.geometry import crop_matrix, invert, warp
from vsframework.simulation.options import SimulationOptions

CROP, PATCH = 150, 64
REASON = "out of focus: its edges are 2.3 times as soft as those of the training cells"


class ScriptedControls:
    """Remembers what was asked."""

    def __init__(self) -> None:
        self.paused = False
        self.recording: Path | None = None
        self.asked: list[str] = []

    def pause(self, on: bool) -> None:
        self.asked.append(f"pause {on}")
        self.paused = on

    def record(self, on: bool) -> str:
        self.asked.append(f"record {on}")
        self.recording = Path("recordings/2026-11-25T16-30-00") if on else None
        return f"Recording into {self.recording}." if on else "The recording is closed."

    def snapshot(self) -> str:
        self.asked.append("snapshot")
        return "Saved as recordings/snapshot-1."


def manifest(**changes: Any) -> Manifest:
    entries: dict[str, Any] = {
        "input_name": "brightfield",
        "in_channels": 1,
        "input_full_scale": 255.0,
        "height": PATCH,
        "width": PATCH,
        "stride": PATCH,
        "stains_output": "stains",
        "stains": (Stain(name="dsDNA", full_scale=255.0), Stain(name="ssDNA", full_scale=255.0)),
        "quantities": (Quantity(name="dfi", unit="1", description="DNA fragmentation index.", output="dfi"),),
        "models": {},
        "files": {},
        "document": {},
        "field_px": CROP,
        "simulated": True,
        "intended_use": "research use only; not for diagnosis",
    }
    return Manifest(**{**entries, **changes})


def session(controls: ScriptedControls | None = None, **changes: Any) -> LiveSession:
    entries: dict[str, Any] = {
        "manifest": manifest(),
        "bundle_sha256": "5f0b9c15ba2537c3738a342b496050036eb6c4f3" + 24 * "0",
        "simulated": True,
        "engine": "openvino · cpu · fp32",
        "source": "simulator",
        "mode": "cells",
        "policy": "latest",
        "settings": {},
        "controls": controls or ScriptedControls(),
    }
    return LiveSession(**{**entries, **changes})


@cache
def scene(width: int = 1024, height: int = 1024, cells: float = 9.0) -> SimulatedField:
    options = SimulationOptions(width=width, height=height, cells_per_field=cells, displacement=0, seed=11)
    rng = np.random.default_rng(4)
    return simulate_field(draw_donor("donor1", rng), options, rng, np.random.default_rng(5))


@cache
def patches(width: int, height: int, cells: float) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]]:
    field = scene(width, height, cells)
    found = []
    for cell, crop in zip(field.cells, field.crops, strict=True):
        back = invert(crop_matrix(cell.x, cell.y, cell.angle, CROP))
        stains = warp(field.stain_light, back, (CROP, CROP)).astype(np.float32)
        small = [cv2.resize(plane, (PATCH, PATCH), interpolation=cv2.INTER_AREA) for plane in (crop, *stains)]
        found.append((small[0].astype(np.uint8), np.stack(small[1:]).astype(np.float32)))
    return found


def result(
    sequence: int = 0, *, width: int = 1024, height: int = 1024, cells: float = 9.0, still: bool = False, **changes: Any
) -> FrameResult:
    """Give the result number `sequence`: the field moved a little, every fourth cell abstained."""
    field = scene(width, height, cells)
    shift = (0.0, 0.0) if still else (14 * math.sin(sequence / 25), 10 * math.sin(sequence / 17))
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    pixels = cv2.warpAffine(field.brightfield, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    found = []
    for index, (cell, (brightfield, stains)) in enumerate(zip(field.cells, patches(width, height, cells), strict=True)):
        bad = index % 4 == 3
        frames = 0 if bad else min(sequence + 1, 40)
        reach = 0.06 / math.sqrt(max(1, frames))
        steady = (cell.dfi, cell.dfi - reach, cell.dfi + reach) if frames else (math.nan,) * 3
        now = cell.dfi + 0.01 * math.sin(sequence + index)
        found.append(
            LiveCell(
                track=index + 1,
                detection=Detection(
                    x=cell.x + shift[0], y=cell.y + shift[1], angle=cell.angle, length=cell.length, score=0.9
                ),
                brightfield=brightfield,
                stains=stains,
                quantities={"dfi": Readout(value=now, low=now - 0.06, high=now + 0.06, frames=1)},
                steady={"dfi": Readout(value=steady[0], low=steady[1], high=steady[2], frames=frames)},
                abstained=REASON if bad else "",
            )
        )
    entries: dict[str, Any] = {
        "frame": Frame(pixels=pixels, number=sequence, captured=time.monotonic() - 0.03, time=time.time(), bit_depth=8),
        "sequence": sequence,
        "cells": tuple(found),
        "latency_ms": 31.4 + math.sin(sequence),
        "stages_ms": {"detect": 5.2, "crop": 0.8, "stain": 17.9, "quantify": 1.1, "track": 0.3},
        "queues": {"frames": 0, "results": 1},
        "dropped": {"camera": 0, "behind": 3},
    }
    return FrameResult(**{**entries, **changes})


class Producer:
    """Gives a sink results at a steady pace from a thread, unless paused, as the loop does."""

    def __init__(self, sink: Sink, controls: ScriptedControls, fps: float = 20.0, **scene_settings: Any) -> None:
        self._sink, self._controls, self._fps, self._settings = sink, controls, fps, scene_settings
        self._stop = threading.Event()
        self.given = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Producer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(1 / self._fps):
            if not self._controls.paused:
                self._sink.take(result(self.given, **self._settings))
                self.given += 1
