"""The live loop end to end: frames per second, capture to result, and what is spent outside the network.

Frames of simulated cells are shown by a camera device of Micro-Manager's real core (``vsf_edge.sources.replay_camera``)
and go through the real loop (`vsf_edge.live`): the source ``micromanager``, detector, cutting, network, quantities,
gates with intervals, identities. The bundles are untrained, with a trust table whose limits let every cell through:
what they give is of no interest here, what they cost is the same as trained. Two figures per case:

- ``fps``: frames come three times as fast as results did at first, newest wins; results per second. Faster would
  measure how the camera, which is a program here, takes the processor away.
- ``paced``: frames come at half that rate, so that none waits for another; latency percentiles, the median of each
  stage, and ``outside_ms``: the medians of all stages but the network (`stain`) together. What runs beside the network
  (the gates) shows in ``over_network_ms``: the median latency less ``network_alone_ms``, what the network takes for the
  same patches again and again with nothing beside it. ``cpu_ms_per_frame`` is processor time of the whole process,
  camera included, which a busy machine hardly changes.

Latency counts from when the core got the frame. Run ``python benchmarks/live.py`` for a line per case, with
``--json PATH`` for a record, ``--only TEXT`` for some cases, and ``--plot PATH`` for a picture. The cases that matter
come first, and the record is written after each: a run that was stopped goes on with ``--resume``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import _live_bundles
from _live_frames import Camera, from_memory, recorded_frames, replay_camera
from _live_network import network_alone, ten_patches
from _live_page import line, plot, table
from _record import circumstances
from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.choice import choose
from vsf_edge.detectors.heads import Heads
from vsf_edge.frames import Frame, FrameResult, LiveSession, Mode, Notice
from vsf_edge.live.assembling import spread
from vsf_edge.live.parts import Parts
from vsf_edge.live.session import LiveLoop
from vsf_edge.live.settings import LoopSettings
from vsf_edge.plugins import plugins
from vsframework.atomic import write_text

TARGETS = {"fast 1024 px, 10 heads, fps": 25.0, "outside_ms, 1024 px": 3.0, "outside_ms, 2048 px field": 25.0}
Case = tuple[str, str, int, Mode, int]
"""Network, runtime, side of a frame in pixels, mode and heads."""

CASES: tuple[tuple[str, int, Mode, int], ...] = (
    ("fast", 1024, "cells", 10), ("fast", 1024, "cells", 1), ("fast", 2048, "field", 10),
    ("pix2pix", 1024, "cells", 10), ("pix2pix", 1024, "cells", 1),
    ("fast", 1024, "cells", 40), ("fast", 1024, "field", 10), ("fast", 2048, "cells", 10),
    ("fast", 512, "cells", 1), ("fast", 512, "cells", 10), ("fast", 512, "field", 1),
    ("fast", 2048, "cells", 1), ("fast", 2048, "cells", 40),
    ("pix2pix", 512, "cells", 1), ("pix2pix", 512, "cells", 10),
)  # fmt: skip
"""Network, frame, mode and heads, what matters first. More than this takes `pix2pix` over five seconds a frame on a
processor, which nobody looks at live."""

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "openvino", "pymmcore", "pymmcore-plus", "vsf-edge")
RUNTIMES = ("onnxruntime", "openvino")
SHORTEST_S = 0.002
"""A frame each 2 ms: faster than any camera that is used here."""

WARM, FEWEST = 3, 4
"""Results of the run that warms up, and at least of the others, however slow the network is."""

LONGEST_S = 120.0
"""For the run that warms up, and until a camera that gives nothing is opened again: some frames are seconds apart."""


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


def run(
    bundle: Bundle, session: Any, camera: Camera, mode: Mode, every: float, seconds: float, frames: int | None = None
) -> Any:
    """Run the loop on a frame each `every` seconds, for `seconds` or until there are results of `frames`."""
    sink = Counting()
    parts = Parts(
        bundle=bundle,
        session=session,
        reopen=lambda: session,
        engine="benchmark",
        source=camera(every),
        source_name="benchmark",
        make_detector=lambda length: Heads(head_length=length),
        sinks={"count": sink},
        make_recording=lambda folder: Counting(),
    )
    settings = LoopSettings(mode=mode, seconds=seconds, frames=frames, policy="latest", stall_s=LONGEST_S)
    loop = LiveLoop(parts, settings)
    before = time.process_time()
    loop.run()
    document = loop.statistics.document()
    document["cpu_ms"] = 1000 * (time.process_time() - before) / max(1, document["results"])
    return document, sink


def case(
    bundle: Bundle, session: Any, frames: list[Frame], camera: Camera, mode: Mode, seconds: float
) -> dict[str, Any]:
    """Give the figures of one case."""
    warm, _ = run(bundle, session, camera, mode, SHORTEST_S, LONGEST_S, WARM)
    if not warm["fps"]:
        return {"cells": None, "fps": None, "reason": f"fewer than two results in {LONGEST_S:g} s"}
    every = max(SHORTEST_S, 1 / (3 * warm["fps"]))
    fastest, sink = run(bundle, session, camera, mode, every, max(seconds, (FEWEST + 1) / warm["fps"]))
    if not fastest["fps"]:
        return {"cells": None, "fps": None, "reason": "fewer than two results"}
    half = 2 / fastest["fps"]
    paced, paced_sink = run(bundle, session, camera, mode, half, max(seconds, (FEWEST + 1) * half))
    if not paced["results"]:
        return {"cells": None, "fps": None, "reason": "no result at half the rate"}
    stages = {name: spent["p50_ms"] for name, spent in paced["stages"].items()}
    outside = sum(ms for name, ms in stages.items() if name not in ("stain", "wait"))
    network = network_alone(bundle, session, frames[0], mode)
    return {
        "cells": float(np.median(sink.cells)),
        "answered": paced_sink.answered / max(1, sum(paced_sink.cells)),
        "fps": fastest["fps"],
        "camera_fps": round(1 / every, 1),
        "lost_in_camera": fastest["dropped"].get("camera", 0),
        "cpu_ms_per_frame": round(paced["cpu_ms"], 1),
        "latency_at_full_rate": fastest["latency"],
        "paced_latency": paced["latency"],
        "paced_stages_p50_ms": stages,
        "outside_ms": round(outside, 3),
        "network_alone_ms": round(network, 3),
        "over_network_ms": round(paced["latency"]["p50_ms"] - network, 3),
    }


@dataclass
class Bench:
    """What is measured, what it is measured with, made when it is first needed, and what was found so far."""

    source: str
    seconds: float
    folder: Path
    stack: ExitStack
    results: dict[str, Any] = field(default_factory=dict)
    ten: dict[str, Any] = field(default_factory=dict)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    commit: str = field(default_factory=lambda: str(circumstances((), 0.0)["commit"]))
    _cameras: dict[tuple[int, int], tuple[list[Frame], Camera]] = field(default_factory=dict)
    _bundles: dict[str, Bundle] = field(default_factory=dict)
    _sessions: dict[tuple[str, str], Any] = field(default_factory=dict)

    def measure(self, named: dict[str, Case], save: Callable[[dict[str, Any]], None]) -> None:
        """Measure the cases `named`; what there is so far is saved after every case."""
        for name, (generator, runtime, side, mode, heads) in named.items():
            bundle, session = self._bundle(generator), self._session(generator, runtime)
            self.results[name] = case(bundle, session, *self._camera(side, heads), mode, self.seconds)
            self.results[name] |= {"generator": generator, "runtime": runtime, "side": side, "mode": mode}
            print(line(name, self.results[name]), flush=True)
            save(self.record())

    def record(self) -> dict[str, Any]:
        """Give the record."""
        return {
            "benchmark": "live",
            "what": "the live loop on replayed frames of simulated cells, untrained networks, every gate and interval",
            "source": self.source,
            "seconds_per_run": self.seconds,
            "tile_px": _live_bundles.FIELD_PX,
            "patch_px": _live_bundles.SIDE,
            "targets": TARGETS,
            **circumstances(PACKAGES, self.load),
            "commit": self.commit,
            "ten_patches_ms": self.ten,
            "results": self.results,
        }

    def go_on(self, record: dict[str, Any]) -> None:
        """Keep the results of `record`, an earlier part of the same run."""
        now = self.record()
        for key in ("source", "seconds_per_run", "commit", "machine"):
            before = str(record.get(key)).removesuffix("-dirty")  # the record itself makes the checkout so
            if before != str(now[key]).removesuffix("-dirty"):
                raise SystemExit(f"--resume: the record's {key} is {before} and now {now[key]}: begin anew")
        self.results, self.ten = record["results"], record["ten_patches_ms"]

    def _camera(self, side: int, heads: int) -> tuple[list[Frame], Camera]:
        if (side, heads) not in self._cameras:
            frames = recorded_frames(side, heads)
            replayed = self.source == "micromanager"
            camera = replay_camera(frames, self.folder / f"{side}-{heads}") if replayed else from_memory(frames)
            self._cameras[side, heads] = (frames, camera)
        return self._cameras[side, heads]

    def _bundle(self, generator: str) -> Bundle:
        if generator not in self._bundles:
            path = self.folder / f"{generator}.vsf"
            _live_bundles.make_bundle(generator, path)
            self._bundles[generator] = self.stack.enter_context(open_bundle(path))
        return self._bundles[generator]

    def _session(self, generator: str, runtime: str) -> Any:
        if (generator, runtime) not in self._sessions:
            bundle = self._bundle(generator)
            engine = choose(bundle, plugins(), runtime, root=self.folder / "cache").engine
            session = spread(bundle, engine, engine.session)
            self.ten.setdefault(f"{generator}, {runtime}", ten_patches(session))
            self._sessions[generator, runtime] = session
        return self._sessions[generator, runtime]


def named_cases(only: list[str]) -> Iterator[tuple[str, Case]]:
    """Give the cases by name, those whose name has every text of `only`."""
    for generator, side, mode, heads in CASES:
        for runtime in RUNTIMES:
            name = f"{generator}, {runtime}, {side} px, {mode}, {heads} heads"
            if all(text in name for text in only):
                yield name, (generator, runtime, side, mode, heads)


def main() -> None:
    """Print a line per case, or write the record and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here, anew after every case")
    parser.add_argument("--resume", action="store_true", help="keep what --json has of this commit, measure the rest")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="draw the record here")
    parser.add_argument("--from-json", type=Path, metavar="PATH", help="measure nothing, draw or print this record")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/live.md")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run, two per case, longer for slow ones")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="cases whose name has every TEXT")
    parser.add_argument("--source", choices=["micromanager", "memory"], help="memory where there is no Micro-Manager")
    given = parser.parse_args()
    source = given.source or ("micromanager" if find_spec("pymmcore_plus") else "memory")

    def save(record: dict[str, Any]) -> None:
        if given.json:
            write_text(given.json, json.dumps(record, indent=2) + "\n")

    if given.from_json:
        record = json.loads(given.from_json.read_text(encoding="utf-8"))
    else:
        with tempfile.TemporaryDirectory(prefix="vsf-live-bench-") as folder, ExitStack() as stack:
            bench = Bench(source=source, seconds=given.seconds, folder=Path(folder), stack=stack)
            if given.resume and given.json and given.json.is_file():
                bench.go_on(json.loads(given.json.read_text(encoding="utf-8")))
            wanted = {name: what for name, what in named_cases(given.only) if name not in bench.results}
            bench.measure(wanted, save)
            record = bench.record()
    if given.markdown:
        print(table(record))
    if given.plot:
        plot(record, given.plot)


if __name__ == "__main__":
    main()
