"""The live loop end to end: frames per second, capture to result, and what is spent outside the network.

Frames of simulated cells are replayed from memory through the real loop (`vsf_edge.live`): detector, cutting, network,
quantities, gates with intervals, identities. The bundles are untrained, with a trust table whose limits let every cell
through: what they give is of no interest here, what they cost is the same as trained. Two figures per case:

- ``fps``: frames come as fast as they are taken, newest wins; results per second.
- ``paced``: frames come at half that rate, so that none waits for another; latency percentiles, the median of each
  stage, and ``outside_ms``: the medians of all stages but the network (`stain`) together. ``cpu_ms_per_frame`` is
  processor time of the whole process, which a busy machine hardly changes.

Run ``python benchmarks/live.py`` for a table, with ``--json PATH`` for a record, and ``--plot PATH`` for a picture.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import _live_bundles
from _record import circumstances
from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.choice import choose
from vsf_edge.detectors.heads import Heads
from vsf_edge.frames import Frame, FrameResult, LiveSession, Mode, Notice
from vsf_edge.live.assembling import spread
from vsf_edge.live.parallel import ParallelSession
from vsf_edge.live.parts import Parts
from vsf_edge.live.preparing import HEAD_SHARE
from vsf_edge.live.session import LiveLoop
from vsf_edge.live.settings import LoopSettings
from vsf_edge.plugins import plugins
from vsf_edge.sources.simulator import Simulator
from vsframework.atomic import write_text

TARGETS = {"fast 1024 px, 10 heads, fps": 25.0, "outside_ms, 1024 px": 3.0, "outside_ms, 2048 px field": 25.0}
CASES: tuple[tuple[int, Mode, int], ...] = (
    (512, "cells", 1), (512, "cells", 10), (512, "field", 1),
    (1024, "cells", 1), (1024, "cells", 10), (1024, "cells", 40), (1024, "field", 10),
    (2048, "cells", 1), (2048, "cells", 10), (2048, "cells", 40), (2048, "field", 10),
)  # fmt: skip
HEAVY = {"pix2pix": (1024, 10)}
"""Largest frame and most heads that a network is timed on, in mode `cells`: more takes a processor over five seconds a
frame, which nobody looks at live, and minutes to time."""

DIFFERENT = 8
"""Different frames that are replayed over and over."""


class Replay:
    """Gives recorded frames, one each `every` seconds, or as fast as they are taken."""

    live = True

    def __init__(self, recorded: list[Frame], every: float) -> None:
        self._recorded, self._every = itertools.cycle(recorded), every
        self._number, self._due = 0, 0.0

    def open(self) -> None:
        """Begin now."""
        self._due = time.monotonic()

    def read(self, timeout: float) -> Frame | None:
        """Give the next frame when it is due."""
        self._due = max(self._due + self._every, time.monotonic() - 1)
        wait = self._due - time.monotonic()
        if self._every == 0:
            wait = 0.002  # a camera never gives frames without end: leave the processor to the loop
        if wait > 0:
            time.sleep(wait)
        self._number += 1
        return replace(next(self._recorded), number=self._number, captured=time.monotonic(), time=time.time())

    def close(self) -> None:
        """Do nothing."""

    def lost(self) -> int:
        """Give none."""
        return 0


class Counting:
    """A sink that forgets the first results and counts the cells of the others."""

    every = True

    def __init__(self) -> None:
        self.cells: list[int] = []
        self.answered = 0

    def start(self, session: LiveSession) -> None:
        """Do nothing."""

    def take(self, result: FrameResult) -> None:
        """Count the cells."""
        if result.problem:
            raise RuntimeError(result.problem)
        self.cells.append(len(result.cells))
        self.answered += sum(not cell.abstained for cell in result.cells)

    def notice(self, notice: Notice) -> None:
        """Fail on an error: a benchmark of a failing loop says nothing."""
        if notice.level == "error":
            raise RuntimeError(notice.text)

    def stop(self) -> None:
        """Do nothing."""


def recorded_frames(side: int, heads: int) -> list[Frame]:
    """Simulate frames of `side` pixels in which the detector finds `heads` heads, or nearly."""
    detector = Heads(head_length=_live_bundles.FIELD_PX * HEAD_SHARE)
    best: list[Frame] = []
    off = math.inf
    for cells in range(heads, 2 * heads + 3):
        camera = Simulator(width=side, height=side, cells=cells, fps=0, drift=0, defocus=0.5)
        camera.open()
        given = [camera.read(1.0) for _ in range(DIFFERENT)]
        camera.close()
        found = [replace(frame, pixel_size_um=None) for frame in given if frame is not None]
        seen = abs(float(np.median([len(detector.detect(frame.pixels)) for frame in found])) - heads)
        if seen < off:
            best, off = found, seen
        if not seen:
            break
    return best


def run(bundle: Bundle, session: Any, frames: list[Frame], mode: Mode, every: float, seconds: float) -> Any:
    """Run the loop on `frames` for `seconds`."""
    sink = Counting()
    parts = Parts(
        bundle=bundle,
        session=session,
        reopen=lambda: session,
        engine="benchmark",
        source=Replay(frames, every),
        source_name="replay",
        make_detector=lambda length: Heads(head_length=length),
        sinks={"count": sink},
        make_recording=lambda folder: Counting(),
    )
    loop = LiveLoop(parts, LoopSettings(mode=mode, seconds=seconds, policy="latest"))
    before = time.process_time()
    loop.run()
    document = loop.statistics.document()
    document["cpu_ms"] = 1000 * (time.process_time() - before) / max(1, document["results"])
    return document, sink


def case(bundle: Bundle, session: Any, frames: list[Frame], mode: Mode, seconds: float) -> dict[str, Any]:
    """Give the figures of one case."""
    run(bundle, session, frames, mode, 0.0, min(seconds, 1.5))  # warm
    fastest, sink = run(bundle, session, frames, mode, 0.0, seconds)
    if not fastest["fps"]:  # a whole field may take seconds
        seconds *= 10
        fastest, sink = run(bundle, session, frames, mode, 0.0, seconds)
    if not fastest["fps"]:
        return {"cells": None, "fps": None, "reason": f"fewer than two results in {seconds:g} s"}
    paced, paced_sink = run(bundle, session, frames, mode, 2 / fastest["fps"], max(seconds, 12 / fastest["fps"]))
    stages = {name: spent["p50_ms"] for name, spent in paced["stages"].items()}
    outside = sum(ms for name, ms in stages.items() if name not in ("stain", "wait"))
    return {
        "cells": float(np.median(sink.cells)),
        "answered": paced_sink.answered / max(1, sum(paced_sink.cells)),
        "fps": fastest["fps"],
        "cpu_ms_per_frame": round(paced["cpu_ms"], 1),
        "latency_at_full_rate": fastest["latency"],
        "paced_latency": paced["latency"],
        "paced_stages_p50_ms": stages,
        "outside_ms": round(outside, 3),
    }


def ten_patches(session: Any) -> dict[str, float]:
    """Give the median time of ten patches, spread over all cores together, and each on a core of its own."""
    if not isinstance(session, ParallelSession):
        return {}
    patches = np.random.default_rng(0).integers(0, 256, (10, 1, _live_bundles.SIDE, _live_bundles.SIDE), np.uint8)
    found = {}
    for way, act in (
        ("spread", session.run),
        (
            "a core each",
            lambda given: list(session.each(lambda one, index: one.run(given[index : index + 1]), len(given))),
        ),
    ):
        times = []
        for _ in range(8):
            start = time.perf_counter()
            act(patches)
            times.append(1000 * (time.perf_counter() - start))
        found[way] = round(float(np.median(times[1:])), 1)
    return found


def measure(
    generators: list[str], runtimes: list[str], sides: list[int], seconds: float, save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Give the record; what there is so far is saved after every case."""
    load = os.getloadavg()[0]
    results: dict[str, Any] = {}
    ten: dict[str, Any] = {}

    def record() -> dict[str, Any]:
        return {
            "benchmark": "live",
            "what": "the live loop on replayed frames of simulated cells, untrained networks, every gate and interval",
            "seconds_per_run": seconds,
            "tile_px": _live_bundles.FIELD_PX,
            "patch_px": _live_bundles.SIDE,
            "targets": TARGETS,
            **circumstances(("numpy", "opencv-python-headless", "onnxruntime", "openvino", "vsf-edge"), load),
            "ten_patches_ms": ten,
            "results": results,
        }

    with tempfile.TemporaryDirectory(prefix="vsf-live-bench-") as folder:
        for generator in generators:
            path = Path(folder) / f"{generator}.vsf"
            _live_bundles.make_bundle(generator, path)
            with open_bundle(path) as bundle:
                for runtime in runtimes:
                    engine = choose(bundle, plugins(), runtime, root=Path(folder) / "cache").engine
                    session = spread(bundle, engine, engine.session)
                    ten[f"{generator}, {runtime}"] = ten_patches(session)
                    most_side, most_heads = HEAVY.get(generator, (max(sides), 40))
                    for side, mode, heads in CASES:
                        if generator in HEAVY and (mode == "field" or side > most_side or heads > most_heads):
                            continue
                        if side not in sides:
                            continue
                        name = f"{generator}, {runtime}, {side} px, {mode}, {heads} heads"
                        frames = recorded_frames(side, heads)
                        results[name] = case(bundle, session, frames, mode, seconds)
                        results[name] |= {"generator": generator, "runtime": runtime, "side": side, "mode": mode}
                        print(line(name, results[name]), flush=True)
                        save(record())
    return record()


def line(name: str, result: dict[str, Any]) -> str:
    """Give a case in a line."""
    if result["fps"] is None:
        return f"{name}: {result['reason']}"
    latency = result["paced_latency"]
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in result["paced_stages_p50_ms"].items())
    percentiles = " ".join(f"{name} {latency[f'{name}_ms']:.1f}" for name in ("p50", "p95", "p99"))
    return (
        f"{name}: {result['cells']:g} cells, {result['fps']:.1f} fps; paced {percentiles} ms; "
        f"outside {result['outside_ms']:.1f} ms, cpu {result['cpu_ms_per_frame']:.0f} ms ({stages})"
    )


def plot(record: dict[str, Any], path: Path) -> None:
    """Draw frames per second by case, a colour per network and runtime."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = record["results"].values()
    groups = sorted({(result["generator"], result["runtime"]) for result in results})
    cases = list(dict.fromkeys(name.split(", ", 2)[2] for name in record["results"]))
    figure, axes = pyplot.subplots(figsize=(8, 0.45 * len(cases) + 1.2), layout="constrained")
    for index, (generator, runtime) in enumerate(groups):
        height = 0.8 / len(groups)
        places = [row + (index - (len(groups) - 1) / 2) * height for row in range(len(cases))]
        rates = [(record["results"].get(f"{generator}, {runtime}, {name}") or {}).get("fps") or 0 for name in cases]
        axes.plot([rate or math.nan for rate in rates], places, "o", label=f"{generator}, {runtime}")
    axes.axvline(25, color="0.4", linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.2, 0.5, 1, 2, 5, 10, 25, 50, 100, 200], minor=False)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlim(min(result["fps"] or 1 for result in results) / 1.5, 200)
    axes.grid(axis="x", which="both", linewidth=0.3)
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.set_xlabel("results per second, stains and DFI included (dashed: 25)")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def table(record: dict[str, Any]) -> str:
    """Give the table of docs/live.md."""
    rows = ["| network, runtime | frame | mode | heads | fps | p50 | p95 | p99 | network | outside | cpu |"]
    rows.append("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, result in record["results"].items():
        generator, runtime, side, mode, _ = name.split(", ")
        if result["fps"] is None:
            rows.append(f"| {generator}, {runtime} | {side} | {mode} | | {result['reason']} | | | | | | |")
            continue
        latency = result["paced_latency"]
        numbers = [latency["p50_ms"], latency["p95_ms"], latency["p99_ms"], result["paced_stages_p50_ms"]["stain"]]
        numbers += [result["outside_ms"], result["cpu_ms_per_frame"]]
        rows.append(
            f"| {generator}, {runtime} | {side} | {mode} | {result['cells']:g} | {result['fps']:.1f} | "
            + " | ".join(f"{ms:.1f}" for ms in numbers)
            + " |"
        )
    return "\n".join(rows)


def main() -> None:
    """Print a table, or write the record and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw the record of --json here")
    parser.add_argument("--from-json", type=Path, metavar="PATH", help="measure nothing, draw this record")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/live.md")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run; two per case (default 5)")
    parser.add_argument("--generators", nargs="+", default=["fast", "pix2pix"])
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--sides", nargs="+", type=int, default=[512, 1024, 2048])
    given = parser.parse_args()

    def save(record: dict[str, Any]) -> None:
        if given.json:
            write_text(given.json, json.dumps(record, indent=2) + "\n")

    if given.from_json:
        record = json.loads(given.from_json.read_text(encoding="utf-8"))
    else:
        record = measure(given.generators, given.runtimes, given.sides, given.seconds, save)
    if given.markdown:
        print(table(record))
    if given.plot:
        plot(record, given.plot)


if __name__ == "__main__":
    main()
