"""What this machine has, what will run on it, and what to install."""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vsf_edge import __version__
from vsf_edge.errors import EdgeError
from vsf_edge.interfaces import Availability
from vsf_edge.plugins import EdgePlugins

PYTHON_AT_LEAST = (3, 11)

_RELEVANT_FLAGS = (
    *("sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"),
)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found.

    Attributes
    ----------
    facts
        Python, system, processor, GPU and versions: JSON values only.
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

    def document(self) -> dict[str, Any]:
        """Give it as JSON values."""
        runtimes = {
            name: {"usable": runtime.usable, "detail": runtime.detail, "advice": runtime.advice, **runtime.facts}
            for name, runtime in self.runtimes.items()
        }
        return {"usable": self.usable, **self.facts, "runtimes": runtimes, "advice": self.advice}


def examine(plugins: EdgePlugins) -> Examination:
    """Examine this machine. Loads no driver: a broken one may end the process instead of raising."""
    facts: dict[str, Any] = {
        "vsf_edge": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": {"name": cpu_name(), "cores": usable_cores(), "features": cpu_features()},
        "gpu": nvidia(),
        "packages": {name: _version(name) for name in ("numpy", "opencv-python-headless", "click")},
    }
    runtimes: dict[str, Availability] = {}
    advice = [f"Plugin problem: {problem}." for problem in plugins.problems]
    for plugin in plugins.of("runtime"):
        try:
            runtimes[plugin.name] = plugin.create().availability()
        except EdgeError as error:
            runtimes[plugin.name] = Availability(usable=False, detail=str(error), facts={})
        except Exception as error:
            detail = f"its availability failed: {type(error).__name__}: {' '.join(str(error).split())}"
            runtimes[plugin.name] = Availability(usable=False, detail=detail, facts={})
    found = Examination(facts=facts, runtimes=runtimes)
    found.advice.extend([*advice, *_advise(found)])
    return found


def usable_cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """Give the processor's name as the system tells it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_features() -> list[str]:
    """Give the instruction sets that matter for a network; as OpenCV names them where the system does not say."""
    flags = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    if flags:
        return [flag for flag in _RELEVANT_FLAGS if flag in flags]
    try:
        import cv2

        listed = str(cv2.getCPUFeaturesLine()).split()
    except Exception:
        return []
    return [name.lstrip("*") for name in listed if not name.endswith("?")]


def nvidia() -> dict[str, Any]:
    """Look for an NVIDIA driver without loading it; asks ``nvidia-smi`` for names where that is installed."""
    library = ctypes.util.find_library("cuda") or ctypes.util.find_library("nvcuda")
    jetson = Path("/etc/nv_tegra_release").exists()
    tool = shutil.which("nvidia-smi")
    devices: list[str] = []
    problem = ""
    if tool:
        query = [tool, "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = f"nvidia-smi does not answer: {error}"
        else:
            lines = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
            devices = lines if answer.returncode == 0 else []
            problem = "" if answer.returncode == 0 else " ".join(lines[:1]) or "nvidia-smi failed"
    return {
        "driver_library": library,
        "nvidia_smi": bool(tool),
        "jetson": jetson,
        "devices": devices,
        "problem": problem,
    }


def _advise(found: Examination) -> list[str]:
    advice = [f"{name}: {runtime.advice}." for name, runtime in found.runtimes.items() if runtime.advice]
    gpu = found.facts["gpu"]
    onnx = found.runtimes.get("onnxruntime")
    facts = onnx.facts if onnx else {}
    if len(facts.get("distributions", [])) > 1:
        names = " ".join(facts["distributions"])
        advice.append(f"Several builds of ONNX Runtime are installed and overwrite each other: pip uninstall {names}, "
                      "then install one of them.")  # fmt: skip
    if gpu["devices"] and onnx and "CUDAExecutionProvider" not in facts.get("providers", []):
        advice.append(
            "There is an NVIDIA GPU that is not used: pip uninstall onnxruntime, then pip install onnxruntime-gpu."
        )
    if gpu["problem"]:
        advice.append(f"The NVIDIA driver has a problem ({gpu['problem']}): install it again, or work on the CPU.")
    if not found.runtimes:
        advice.append("No runtime is installed, not even the built-in one: pip install --force-reinstall vsf-edge.")
    return advice


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
