"""What the live view costs: painting and encoding one shown frame, and the share of a core in a session.

Noise at 1024 x 1024 with 10 and with 40 cells, in both modes, and at 2048 x 2048; one thread. The display is then
served to one client that answers at once, from a session that gives 30 frames per second, with and without it: the
difference in CPU time is what looking on costs.

    python benchmarks/live_view.py --json benchmarks/results/live_view.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from _record import circumstances
from vsf_edge.frames import Detection, Frame, FrameResult, LiveCell, LiveSession, Readout
from vsf_edge.manifest import Manifest, Quantity, Stain
from vsf_edge.sinks.browser import BrowserView
from vsf_edge.web.describing import describe_frame
from vsf_edge.web.messages import pack
from vsf_edge.web.painting import Painter
from vsf_edge.web.tally import Tally

CROP, PATCH = 150, 256
TARGET_MS = 10.0
"""Painting and encoding one shown frame of 1024 x 1024, three panels."""

REPEATS = 40
SECONDS = 8.0
SESSION_FPS = 30.0


class NoControls:
    """A session without buttons."""

    paused, recording = False, None

    def pause(self, on: bool) -> None:
        """Do nothing."""

    def record(self, on: bool) -> str:
        """Do nothing."""
        return ""

    def snapshot(self) -> str:
        """Do nothing."""
        return ""


def manifest() -> Manifest:
    stains = (Stain(name="dsDNA", full_scale=255.0), Stain(name="ssDNA", full_scale=255.0))
    return Manifest(
        input_name="brightfield",
        in_channels=1,
        input_full_scale=255.0,
        height=PATCH,
        width=PATCH,
        stride=PATCH,
        stains_output="stains",
        stains=stains,
        quantities=(Quantity(name="dfi", unit="1", description="", output="dfi"),),
        models={},
        files={},
        document={},
        field_px=CROP,
        intended_use="research use only",
    )


def made(sequence: int, side: int, cells: int, mode: str) -> FrameResult:
    """A field of noise with heads of bright noise; the noise costs JPEG more than real fields do."""
    rng = np.random.default_rng(sequence)
    field = cv2.GaussianBlur(rng.normal(128, 60, (side, side)).astype(np.float32), (0, 0), 2) * 3 - 256
    pixels = np.clip(field + rng.normal(0, 3, field.shape), 0, 255).astype(np.uint8)
    rows, columns = np.mgrid[:PATCH, :PATCH] / (PATCH / 2) - 1
    head = np.exp(-4 * ((columns / 0.66) ** 4 + (rows / 0.46) ** 4)).astype(np.float32)
    stains = np.stack([180 * head, 30 * head]) + rng.normal(2, 0.5, (2, PATCH, PATCH)).astype(np.float32)
    patch = pixels[:PATCH, :PATCH]
    found = [
        LiveCell(
            track=index + 1,
            detection=Detection(
                x=float(rng.uniform(90, side - 90)),
                y=float(rng.uniform(90, side - 90)),
                angle=float(rng.uniform(-math.pi, math.pi)),
                length=100,
                score=0.9,
            ),
            brightfield=patch,
            stains=stains.astype(np.float32),
            quantities={"dfi": Readout(value=0.1, low=0.05, high=0.15, frames=1)},
            steady={"dfi": Readout(value=0.1, low=0.08, high=0.12, frames=9)},
        )
        for index in range(cells)
    ]
    whole = np.repeat(pixels[np.newaxis].astype(np.float32), 2, axis=0) if mode == "field" else None
    frame = Frame(pixels=pixels, number=sequence, captured=time.monotonic(), time=time.time(), bit_depth=8)
    return FrameResult(frame=frame, sequence=sequence, cells=tuple(found), stains=whole, latency_ms=30)


def painting(side: int, cells: int, mode: str) -> dict[str, Any]:
    painter, tally = Painter(manifest(), 1024), Tally(manifest().quantities)
    results = [made(sequence, side, cells, mode) for sequence in range(4)]
    cpu, wall, size = [], [], 0
    for repeat in range(REPEATS):
        result = results[repeat % len(results)]
        start, started = time.thread_time(), time.perf_counter()
        pictures = painter.paint(result, {1})
        message = pack(describe_frame(result, painter, tally, 30.0, ["dfi"]), pictures)
        cpu.append(1000 * (time.thread_time() - start))
        wall.append(1000 * (time.perf_counter() - started))
        size = len(message)
    return {
        "side": side,
        "cells": cells,
        "mode": mode,
        "cpu_ms_median": round(float(np.median(cpu)), 2),
        "wall_ms_median": round(float(np.median(wall)), 2),
        "message_kb": round(size / 1000, 1),
    }


CLIENT = """
import sys, time
from websockets.sync.client import connect
count, end = 0, time.monotonic() + float(sys.argv[2])
with connect(sys.argv[1], max_size=None) as page:
    page.send('{"ready": true, "selected": 1}')
    while time.monotonic() < end:
        try:
            said = page.recv(timeout=0.5)
        except TimeoutError:
            continue
        if isinstance(said, bytes):
            count += 1
            page.send('{"ready": true, "selected": 1}')
print(count)
"""
"""A page that answers at once, in a process of its own, so that its CPU time is not counted."""


def serving(watched: bool) -> dict[str, Any]:
    """Give the CPU share of a session of `SESSION_FPS` frames per second whose frames cost nothing to make."""
    results = [made(sequence, 1024, 10, "cells") for sequence in range(8)]
    view = BrowserView("127.0.0.1:0", announce=lambda _: None)
    view.start(
        LiveSession(
            manifest=manifest(),
            bundle_sha256="",
            simulated=True,
            engine="",
            source="benchmark",
            mode="cells",
            policy="latest",
            settings={},
            controls=NoControls(),
        )
    )
    client = None
    if watched:
        command = [sys.executable, "-c", CLIENT, view.url.replace("http", "ws") + "frames", str(SECONDS)]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        start, cpu = time.perf_counter(), time.process_time()
        due, sequence = start, 0
        while (took := time.perf_counter() - start) < SECONDS or (client is not None and client.poll() is None):
            view.take(replace(results[sequence % len(results)], sequence=sequence))
            sequence += 1
            due += 1 / SESSION_FPS
            time.sleep(max(0.0, due - time.perf_counter()))
        spent = time.process_time() - cpu
        shown = int(client.communicate()[0]) / SECONDS if client is not None else 0.0
    finally:
        view.stop()
    return {"watched": watched, "cpu_share_of_one_core": round(spent / took, 3), "shown_fps": round(shown, 1)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="PATH", help="Write a record.")
    chosen = parser.parse_args(arguments)
    load_before = os.getloadavg()[0]
    cv2.setNumThreads(1)
    frames = [(1024, 10, "cells"), (1024, 40, "cells"), (1024, 10, "field"), (2048, 40, "cells")]
    painted = [painting(*frame) for frame in frames]
    served = [serving(watched) for watched in (False, True)]
    for row in painted:
        print(
            f"{row['side']} px, {row['cells']} cells, mode {row['mode']}: {row['cpu_ms_median']} ms of CPU "
            f"({row['wall_ms_median']} ms by the clock), {row['message_kb']} kB; target {TARGET_MS} ms at 1024 px"
        )
    for row in served:
        print(
            f"served, watched {row['watched']}: {row['cpu_share_of_one_core']} cores, {row['shown_fps']} frames/s shown"
        )
    if chosen.json:
        record = {
            **circumstances(["opencv-python-headless", "numpy", "starlette", "uvicorn", "websockets"], load_before),
            "target_ms": TARGET_MS,
            "painting": painted,
            "serving": served,
        }
        chosen.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
