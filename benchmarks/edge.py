"""From a cold process to the first result: opening a bundle of the generator `fast`, its engine, and one patch.

Each figure is that of a new process without torch: ``process`` from its start to its end, ``cpu`` the seconds of all
its threads (which a busy machine hardly changes), the others inside it from the first line of Python. ``first use``
starts with an empty engine cache, so it builds and checks the engine and measures the runtimes against each other where
there are several; ``from then on`` finds the engine.

Run ``python benchmarks/edge.py`` for a table, with ``--json PATH`` for a record.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from _record import circumstances
from vsf_edge.bench import PROTOCOL, time_session
from vsf_edge.bundle import open_bundle
from vsf_edge.choice import choose
from vsf_edge.plugins import plugins
from vsf_export.targets.onnx_graph import OnnxTarget
from vsf_export.targets.onnx_params import OnnxParams
from vsframework.atomic import write_text
from vsframework.interfaces import ExportSpec
from vsframework.plugins import registry

SIDE = 256
TARGET_S = 1.5
"""From the start of a cold process to the first result, `fast`, once its engine is built."""

COLD = """
import time
start = time.perf_counter()
import json, sys
from pathlib import Path
from vsf_edge.bundle import open_bundle
from vsf_edge.choice import choose
from vsf_edge.plugins import plugins
imported = time.perf_counter()
with open_bundle(Path(sys.argv[1])) as bundle:
    opened = time.perf_counter()
    engine = choose(bundle, plugins(), sys.argv[2]).engine
    ready = time.perf_counter()
    engine.session.run(bundle.reference()[0][:1])
    done = time.perf_counter()
print(json.dumps({"imports": imported - start, "opening": opened - imported, "engine": ready - opened,
                  "first patch": done - ready, "first result": done - start, "engine used": engine.label}))
"""


def make_bundle(path: Path) -> None:
    """Export an untrained `fast` for both stains: what it gives is of no interest here, what it costs is the same."""
    generator = registry().create("generator", "fast", {})
    network = generator.deploy(generator.networks(1, 2, SIDE).generator)
    spec = ExportSpec(
        in_channels=1,
        stains=("dsDNA", "ssDNA"),
        image_size=SIDE,
        stride=32,
        brightfield_full_scale=255.0,
        stain_full_scale=(154.0, 39.0),
        quantifier=registry().create("quantifier", "dfi", {}),
        reference=np.random.default_rng(0).integers(0, 256, (8, 1, SIDE, SIDE)).astype(np.float32),
    )
    OnnxTarget(OnnxParams(precisions=("fp32",))).export([network], spec, path)


def cold(bundle: Path, runtime: str, cache: Path) -> dict[str, Any]:
    """Run one new process and give its times in seconds, with ``process`` and ``cpu``: of its whole life."""
    before = os.times()
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(bundle), runtime],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "VSF_EDGE_CACHE": str(cache)},
    )
    process = time.perf_counter() - start
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    times: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"process": process, "cpu": cpu, **times}


def measure(repeats: int) -> dict[str, Any]:
    """Give the record: medians in seconds, and the time of a patch once all is warm."""
    load = os.getloadavg()[0]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="vsf-edge-bench-") as folder:
        path = Path(folder) / "fast.vsf"
        make_bundle(path)
        names = [plugin.name for plugin in plugins().of("runtime") if plugin.create().availability().usable]
        for runtime in ("auto", *names):
            firsts, laters = [], []
            for turn in range(repeats):
                cache = Path(folder) / f"cache-{runtime}-{turn}"
                firsts.append(cold(path, runtime, cache))
                laters.append(cold(path, runtime, cache))
            results[runtime] = {
                "first use, s": _medians(firsts),
                "from then on, s": _medians(laters),
                "engine": laters[-1]["engine used"],
                "within_target": statistics.median(item["process"] for item in laters) <= TARGET_S,
            }
        with open_bundle(path) as bundle:
            patch = bundle.reference()[0][:1]
            for runtime in names:
                choice = choose(bundle, plugins(), runtime, root=Path(folder) / f"cache-{runtime}-0")
                results[runtime]["warm"] = time_session(choice.engine.session, patch, runs=200).document()
        size = path.stat().st_size
    return {
        "benchmark": "edge",
        "what": f"generator fast, both stains, one {SIDE}x{SIDE} patch, fp32, {repeats} cold processes each",
        "warm_protocol": PROTOCOL,
        "bundle_bytes": size,
        "target_s": TARGET_S,
        **circumstances(("numpy", "onnxruntime", "openvino", "vsf-edge"), load),
        "results": results,
    }


def _medians(times: list[dict[str, Any]]) -> dict[str, float]:
    numbers = [name for name, value in times[0].items() if isinstance(value, float)]
    return {name: round(statistics.median(item[name] for item in times), 4) for name in numbers}


def main() -> None:
    """Print a table, or write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here instead of printing a table")
    parser.add_argument("--repeats", type=int, default=5, help="cold processes per figure (default 5)")
    arguments = parser.parse_args()
    record = measure(arguments.repeats)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
        return
    for runtime, result in record["results"].items():
        print(f"{runtime} ({result['engine']})")
        for use in ("first use, s", "from then on, s"):
            print(f"  {use:16} " + ", ".join(f"{name} {value:.3f}" for name, value in result[use].items()))
        if "warm" in result:
            print(f"  warm, one patch  p50 {result['warm']['p50_ms']:.2f} ms, p99 {result['warm']['p99_ms']:.2f} ms")
    print(f"target: {TARGET_S} s of process; load average of this machine: {record['load_average']['before']:.1f}")


if __name__ == "__main__":
    main()
