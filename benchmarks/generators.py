"""GFLOP, parameters and ms per 256x256 patch of every built-in generator: torch eager, ONNX Runtime, OpenVINO.

``python benchmarks/generators.py`` prints a table; ``--json benchmarks/results/generators.json`` leaves a record. What
is measured is the deploy form, one network for both stains, batch 1. A multiply and an add are 2 FLOP, as counted by
torch's FlopCounterMode (convolutions only; the paper uses two networks of one stain each).
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.interfaces import Generator
from vsframework.plugins import registry

SIDE = 256
STAINS = 2
WARM_UP = 5
DISTRIBUTION = "vsf-plugins"
TARGET_GFLOP = {"fast": 0.35}
OPSET = 18
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "numpy")

Image = npt.NDArray[np.float32]
Run = Callable[[Image], Image]


def count_gflop(network: nn.Module, side: int = SIDE, planes: int = 1) -> float:
    """Count the GFLOP of `network` for one patch of `side` pixels; a multiply and an add are 2 FLOP."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, planes, side, side))
    return float(counter.get_total_flops()) / 1e9


def count_parameters(network: nn.Module | None) -> int:
    """Count the trained numbers of `network`."""
    return 0 if network is None else sum(weight.numel() for weight in network.parameters())


def eager(network: nn.Module, graph: bytes, threads: int) -> Run:
    """Run `network` in torch as it is."""
    torch.set_num_threads(threads)

    def run(image: Image) -> Image:
        with torch.inference_mode():
            result: Image = network(torch.from_numpy(image)).numpy()
        return result

    return run


def onnx_runtime(network: nn.Module, graph: bytes, threads: int) -> Run:
    """Run the exported `graph` in ONNX Runtime on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(image: Image) -> Image:
        result: Image = session.run(None, {name: image})[0]
        return result

    return run


def openvino(network: nn.Module, graph: bytes, threads: int) -> Run:
    """Run the exported `graph` in OpenVINO on the processor, in float32."""
    core = importlib.import_module("openvino").Core()  # no dependency of ours; it has no stubs
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(core.read_model(io.BytesIO(graph)), "CPU", settings).create_infer_request()

    def run(image: Image) -> Image:
        result: Image = request.infer([image])[0]
        return result

    return run


RUNTIMES: Mapping[str, Callable[[nn.Module, bytes, int], Run]] = {
    "eager": eager,
    "onnxruntime": onnx_runtime,
    "openvino": openvino,
}


def export(network: nn.Module, planes: int = 1) -> bytes:
    """Give `network` as an ONNX graph for one patch of `planes` brightfield planes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's notes on its own exporter
        program = torch.onnx.export(
            network, (torch.zeros(1, planes, SIDE, SIDE),), dynamo=True, opset_version=OPSET, verbose=False
        )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def time_runs(run: Run, image: Image, repeats: int) -> dict[str, float]:
    """Time `run` after a warm-up: median and fastest, in ms."""
    times = []
    for turn in range(WARM_UP + repeats):
        start = time.perf_counter()
        run(image)
        if turn >= WARM_UP:
            times.append(1000 * (time.perf_counter() - start))
    return {"median_ms": statistics.median(times), "fastest_ms": min(times)}


def measure_generator(architecture: Generator, repeats: int, threads: int) -> dict[str, Any]:
    """Measure one architecture with its default parameters."""
    torch.manual_seed(0)
    networks = architecture.networks(1, STAINS, SIDE)
    deployed = architecture.deploy(networks.generator)
    single = architecture.deploy(architecture.networks(1, 1, SIDE).generator)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 1, SIDE, SIDE)).astype(np.float32)
    graph = export(deployed)
    expected = eager(deployed, graph, threads)(image)
    runtimes: dict[str, Any] = {}
    for name, prepare in RUNTIMES.items():
        try:
            run = prepare(deployed, graph, threads)
        except ModuleNotFoundError as error:
            runtimes[name] = {"skipped": f"{error.name} is not installed"}
            continue
        difference = float(np.abs(run(image) - expected).max())
        runtimes[name] = {**time_runs(run, image, repeats), "largest_difference_from_eager": difference}
    return {
        "gflop": count_gflop(deployed),
        "gflop_of_one_network_per_stain": STAINS * count_gflop(single),
        "generator_parameters": count_parameters(networks.generator),
        "deployed_parameters": count_parameters(deployed),
        "discriminator_parameters": count_parameters(networks.discriminator),
        "stride_px": architecture.stride,
        "runtimes": runtimes,
    }


def measure(repeats: int, threads: int) -> dict[str, Any]:
    """Give the record: every built-in generator with its default parameters."""
    load = os.getloadavg()[0]
    names = [
        entry.component.name for entry in registry().entries("generator") if entry.plugin.distribution == DISTRIBUTION
    ]
    results = {
        name: measure_generator(registry().create("generator", name), repeats, threads) for name in sorted(names)
    }
    for name, gflop in TARGET_GFLOP.items():
        results[name] |= {"target_gflop": gflop, "within_target": results[name]["gflop"] <= gflop}
    return {
        "benchmark": "generators",
        "what": f"deploy form, {STAINS} stains from one network, batch 1, {SIDE}x{SIDE} px, {repeats} runs after "
        f"{WARM_UP}, {threads} threads; a multiply and an add are 2 FLOP",
        **circumstances(PACKAGES, load),
        "results": results,
    }


def main() -> None:
    """Print a table, or write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--repeats", type=int, default=50, help="timed runs per runtime (default 50)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each runtime (default 2)")
    arguments = parser.parse_args()
    record = measure(arguments.repeats, arguments.threads)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    print(f"{'generator':12} {'GFLOP':>7} {'million':>8}  {'median (fastest) ms:':20}{'  '.join(RUNTIMES)}")
    for name, result in record["results"].items():
        cells = [
            runtime.get("skipped") or f"{runtime['median_ms']:.2f} ({runtime['fastest_ms']:.2f})"
            for runtime in result["runtimes"].values()
        ]
        print(f"{name:12} {result['gflop']:7.3f} {result['deployed_parameters'] / 1e6:8.2f}  {'   '.join(cells)}")
    print("load average before and after: {before:.1f}, {after:.1f}".format(**record["load_average"]))


if __name__ == "__main__":
    main()
