"""What this machine has, what will run on it, how fast about, and what to install. Nothing here loads a driver."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsf_edge import __version__, probe
from vsf_edge.interfaces import Availability
from vsf_edge.machine import cpu_features, cpu_name, has_nvidia_driver, installed, usable_cores
from vsf_edge.plugins import EdgePlugins

PAPER_GFLOP = 23.8
"""Of one 256x256 patch through the paper's two generators (docs/generators.md)."""

REAL_TIME_MS = 40.0
"""One frame at 25 frames per second."""

DEMO = Path(__file__).parent / "demo" / "model.vsf"
"""The model that is shipped to try with: trained on simulated cells."""

_PACKAGES = ("numpy", "opencv-python-headless", "click", "tifffile", "cryptography")


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found.

    Attributes
    ----------
    facts
        Python, system, processor, GPU, versions and speed: JSON values only.
    runtimes
        By name, what each says about itself.
    advice
        What to do, one sentence each; empty on a machine where all is well.
    """

    facts: dict[str, Any]
    runtimes: dict[str, Availability]
    advice: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether any runtime works here."""
        return any(runtime.usable for runtime in self.runtimes.values())

    def ways(self, precisions: Sequence[str]) -> dict[str, list[str]]:
        """Give for each of a bundle's `precisions` what will run it here, as ``--runtime`` takes it."""
        return {
            precision: [
                f"{name}:{device}"
                for name, runtime in self.runtimes.items()
                if runtime.usable
                for device, possible in runtime.devices.items()
                if precision in possible
            ]
            for precision in precisions
        }

    def document(self) -> dict[str, Any]:
        """Give it as JSON values."""
        runtimes = {
            name: {
                "usable": runtime.usable,
                "detail": runtime.detail,
                "advice": runtime.advice,
                "devices": {device: list(possible) for device, possible in runtime.devices.items()},
                **runtime.facts,
            }
            for name, runtime in self.runtimes.items()
        }
        return {"usable": self.usable, **self.facts, "runtimes": runtimes, "advice": self.advice}


def examine(plugins: EdgePlugins) -> Examination:
    """Examine this machine; drivers and runtimes are asked in processes of their own, so that only those can crash."""
    found = plugins.of("runtime")
    with ThreadPoolExecutor(max_workers=8) as pool:
        pool.submit(probe.cuda)
        answers = list(pool.map(lambda plugin: probe.availability(plugin.point.value), found))
    facts: dict[str, Any] = {
        "vsf_edge": __version__,
        "demo_model": str(DEMO) if DEMO.is_file() else None,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": {"name": cpu_name(), "cores": usable_cores(), "features": list(cpu_features())},
        "gpu": nvidia(),
        "packages": {name: installed(name).get(name) for name in _PACKAGES},
        "speed": speed_class(),
    }
    runtimes = {plugin.name: answer for plugin, answer in zip(found, answers, strict=True)}
    examination = Examination(facts=facts, runtimes=runtimes)
    examination.advice.extend(f"Plugin problem: {problem}." for problem in plugins.problems)
    examination.advice.extend(_advise(examination))
    return examination


def nvidia() -> dict[str, Any]:
    """Give what is known of NVIDIA's driver and its GPUs: JSON values. The driver is asked in another process.

    ``driver_library`` says whether a driver is installed, ``devices`` what GPUs it lists, ``problem`` why there are
    none although there is a driver, ``jetson`` whether this is one.
    """
    found = probe.cuda()
    driver = has_nvidia_driver()
    return {
        "driver_library": driver,
        "jetson": Path("/etc/nv_tegra_release").exists(),
        "cuda": found.get("cuda"),
        "driver": found.get("driver"),
        "devices": found["devices"],
        "problem": found["problem"] if driver else "",
    }


def speed_class(seconds: float = 0.3) -> dict[str, Any]:
    """Measure the processor's matrix products for `seconds`, and what that rate means for one patch.

    A network cannot run faster than its arithmetic at the rate of large float32 matrix products: the paper's two
    generators need 23.8 GFLOP for a patch of 256x256 px. A GPU is not measured here; 'vsf-edge bench' does that.
    """
    import numpy as np

    left = np.random.default_rng(0).standard_normal((768, 768), np.float32)
    left @ left  # warm-up: threads and caches
    rates: list[float] = []
    end = time.perf_counter() + seconds
    while not rates or time.perf_counter() < end:
        start = time.perf_counter()
        left @ left
        rates.append(2 * 768**3 / (time.perf_counter() - start) / 1e9)
    rate = max(rates)  # what else the machine does just now is no property of it
    paper = 1000 * PAPER_GFLOP / rate
    return {
        "sgemm_gflop_per_s": round(rate, 1),
        "paper_patch_ms_at_least": round(paper, 1),
        "class": "real time" if paper <= REAL_TIME_MS else "cells" if paper <= 25 * REAL_TIME_MS else "offline",
    }


def _advise(found: Examination) -> list[str]:
    advice = [f"{name}: {runtime.advice}." for name, runtime in found.runtimes.items() if runtime.advice]
    gpu = found.facts["gpu"]
    onnx = found.runtimes.get("onnxruntime")
    facts: Mapping[str, Any] = onnx.facts if onnx else {}
    if len(facts.get("distributions", [])) > 1:
        names = " ".join(facts["distributions"])
        advice.append(f"Several builds of ONNX Runtime are installed and overwrite each other: pip uninstall {names}, "
                      "then install one of them.")  # fmt: skip
    if gpu["devices"] and onnx and "CUDAExecutionProvider" not in facts.get("providers", []):
        advice.append(
            "There is an NVIDIA GPU that is not used: pip uninstall onnxruntime, then pip install onnxruntime-gpu."
        )
    if gpu["problem"]:
        advice.append(f"NVIDIA: {gpu['problem']}: install the driver again, or work on the CPU.")
    openvino = found.runtimes.get("openvino")
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    if openvino and not openvino.usable and x86 and not gpu["devices"]:
        advice.append("OpenVINO is often the fastest on this kind of processor: pip install 'vsf-edge[openvino]'.")
    if not found.runtimes:
        advice.append("No runtime is installed, not even the built-in one: pip install --force-reinstall vsf-edge.")
    return advice
