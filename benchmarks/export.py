"""The exported paper generator on a processor: one 256x256 patch, batch 1, against torch and against its bound.

``python benchmarks/export.py`` prints a table; ``--json benchmarks/results/export.json`` leaves a record. Measured in
one run: torch eager (and torch.compile with ``--compile``), ONNX Runtime and OpenVINO on the exported fp32 graph (uint8
counts in; normalisation, stains and DFI inside), OpenVINO on the int8 graph, both runtimes on the bare network, and
float32 matrix products, which say how fast this machine multiplies. The bound is FLOPs / that speed; a multiply and an
add are 2 FLOP (torch's FlopCounterMode). ``--run RUN`` takes the generators of a trained run, whose DFI drifts mean
something; without it the weights are random and the drift is of no interest. ``--clock cpu`` counts the time that the
processor worked, on one thread, instead of the time that passed: ratios then hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from _record import circumstances
from vsf_export import sessions
from vsf_export.graphs import Graphs, build_graphs
from vsf_export.staining_graph import INPUT, StainingGraph
from vsf_export.targets.onnx_params import GraphParams
from vsf_export.tracing import quiet
from vsf_export.trained_run import load_run
from vsframework.atomic import write_text
from vsframework.interfaces import ExportSpec
from vsframework.plugins import registry

SIDE = 256
WARM_UP = 3
MATRIX = 2048
PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "numpy")
TARGETS = {"best_runtime_over_bound": 1.15, "openvino_int8_speedup": 1.6, "around_the_network": 0.05}

Run = Callable[[], Any]
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


def untrained() -> tuple[list[nn.Module], ExportSpec]:
    """Give the paper's generator, one for both stains, with random weights, and random patches."""
    architecture = registry().create("generator", "pix2pix", {})
    torch.manual_seed(0)
    network = architecture.deploy(architecture.networks(1, 2, SIDE).generator)
    patches = np.random.default_rng(0).integers(0, 256, (16, 1, SIDE, SIDE)).astype(np.float32)
    spec = ExportSpec(
        in_channels=1,
        stains=("dsDNA", "ssDNA"),
        image_size=SIDE,
        stride=architecture.stride,
        brightfield_full_scale=255.0,
        stain_full_scale=(255.0, 255.0),
        quantifier=registry().create("quantifier", "dfi", {}),
        reference=patches[:8],
        calibration=patches[8:],
    )
    return [network], spec


def gflop(networks: list[nn.Module], spec: ExportSpec) -> float:
    """Count the GFLOP of one patch."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        for network in networks:
            network(torch.zeros(1, spec.in_channels, spec.image_size, spec.image_size))
    return float(counter.get_total_flops()) / 1e9


class Bare(nn.Module):
    """The generators alone: normalised float32 in and out."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give all stains."""
        return torch.cat([network(x) for network in self.networks], dim=1)


def bare_graph(networks: list[nn.Module], spec: ExportSpec) -> bytes:
    """Give the networks without anything around them, as ONNX."""
    example = torch.zeros(1, spec.in_channels, spec.image_size, spec.image_size)
    with warnings.catch_warnings(), quiet():
        program = torch.onnx.export(
            Bare(networks).eval(), (example,), input_names=[INPUT], dynamo=True, opset_version=17, verbose=False
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def runners(networks: list[nn.Module], graphs: Graphs, threads: int, compiled: bool) -> dict[str, Run]:
    """Give everything that is timed, by name; each is made when its turn comes."""
    spec = graphs.spec
    frame = graphs.frames()[:1]
    counts = torch.from_numpy(graphs.reference[:1])
    module = StainingGraph(networks, spec).eval()
    bare = bare_graph(networks, spec)
    normal = (graphs.reference[:1] * np.float32(2 / spec.brightfield_full_scale) - 1).astype(np.float32)

    def in_torch(form: Any) -> Run:
        def run() -> None:
            with torch.inference_mode():
                form(counts)

        return run

    found: dict[str, Run] = {"torch eager": in_torch(module)}
    if compiled:
        found["torch.compile"] = in_torch(torch.compile(module))
    loaders = {"onnxruntime": sessions.onnx_runtime, "openvino": sessions.openvino}
    for name in sessions.installed():
        for label, content, image in (
            ("fp32", graphs.models["fp32"], frame),
            ("fp32 bare", bare, normal),
            ("int8", graphs.models["int8"], frame),
        ):
            session = loaders[name](content, threads)
            found[f"{name} {label}"] = lambda session=session, image=image: session(image)  # type: ignore[misc]
    return found


def milliseconds(run: Run, repeats: int, clock: Clock) -> list[float]:
    """Time `run` after a warm-up."""
    times = []
    for turn in range(WARM_UP + repeats):
        start = clock()
        run()
        if turn >= WARM_UP:
            times.append(1000 * (clock() - start))
    return times


def sgemm(clock: Clock) -> list[float]:
    """Give GFLOP/s of float32 matrix products, a few in a row."""
    left, right = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    times = milliseconds(lambda: left @ right, 3, clock)
    return [2 * MATRIX**3 / 1e6 / value for value in times]


def measure(
    run: Path | None, repeats: int, rounds: int, threads: int, compiled: bool, clock_name: str
) -> dict[str, Any]:
    """Give the record."""
    load = os.getloadavg()[0]
    clock = CLOCKS[clock_name]
    threads = threads if clock_name == "wall" else 1
    torch.set_num_threads(threads)
    if run is None:
        networks, spec = untrained()
    else:
        trained = load_run(run)
        networks, spec = list(trained.generators), trained.spec
    params = GraphParams(precisions=("fp32", "fp16", "int8"), input="uint8", drift_limit=0.02)
    graphs = build_graphs(networks, spec, params)
    work = gflop(networks, spec)
    timed = runners(networks, graphs, threads, compiled)
    times: dict[str, list[float]] = {name: [] for name in timed}
    speeds: list[float] = []
    for _ in range(rounds):  # several rounds: what else runs on the machine then hits all of them alike
        for name, runner in timed.items():
            speeds += sgemm(clock)
            times[name] += milliseconds(runner, repeats, clock)
    speed = max(speeds)
    results = {
        name: {"median_ms": statistics.median(values), "fastest_ms": min(values)} for name, values in times.items()
    }
    bound = 1000 * work / speed
    fastest = {name: result["fastest_ms"] for name, result in results.items()}
    full = {name: value for name, value in fastest.items() if name.endswith(" fp32")}
    ratios = {
        "best_runtime_over_bound": min(full.values()) / bound,
        **{f"{name.split()[0]}_over_bound": value / bound for name, value in full.items()},
        **{f"eager_over_{name.split()[0]}": fastest["torch eager"] / value for name, value in full.items()},
        **{
            f"around_the_network_{name.split()[0]}": 1 - fastest[f"{name} bare"] / value for name, value in full.items()
        },
        **{
            f"{name.split()[0]}_int8_speedup": value / fastest[name.replace("fp32", "int8")]
            for name, value in full.items()
        },
    }
    return {
        "benchmark": "export",
        "what": f"{'trained' if run else 'random'} weights, one {SIDE}x{SIDE} patch, batch 1, fastest of "
        f"{rounds}x{repeats} runs after {WARM_UP}, {threads} threads; {clock_name} clock; ratios are of the fastest runs",
        "epochs": spec.metadata.get("epochs", 0),
        "generator": dict(spec.metadata.get("generator", {"name": "pix2pix"})),
        **circumstances(PACKAGES, load),
        "gflop": work,
        "sgemm_gflop_per_s": {"best": speed, "median": statistics.median(speeds)},
        "bound_ms": bound,
        "results": results,
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "targets": TARGETS,
        "drift": {
            "cells": len(graphs.cells),
            "rounding_of_input": dict(graphs.rounding),
            **graphs.records(),
        },
    }


def main() -> None:
    """Print a table, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a trained run (default: random weights)")
    parser.add_argument("--repeats", type=int, default=10, help="timed runs per round (default 10)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each runtime (default 2)")
    parser.add_argument("--compile", action="store_true", help="time torch.compile too (a minute to compile)")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: one thread, and its work alone")
    arguments = parser.parse_args()
    record = measure(
        arguments.run, arguments.repeats, arguments.rounds, arguments.threads, arguments.compile, arguments.clock
    )
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    print(f"{record['gflop']:.2f} GFLOP; bound {record['bound_ms']:.1f} ms at sgemm's best speed")
    for name, result in record["results"].items():
        print(f"{name:24} {result['median_ms']:8.1f} ms, fastest {result['fastest_ms']:8.1f} ms")
    for name, value in record["ratios"].items():
        print(f"  {name}: {value}")
    for precision in ("fp32", "fp16", "int8"):
        for runtime, values in record["drift"][precision].items():
            print(f"  {precision} {runtime}: largest DFI drift {values['dfi_max_abs']:g}")
    print("load average before and after: {before:.1f}, {after:.1f}".format(**record["load_average"]))


if __name__ == "__main__":
    main()
