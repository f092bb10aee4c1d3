"""What this machine is: processor, its instruction sets, and whether NVIDIA's driver may be here. Loads no driver."""

from __future__ import annotations

import os
import platform
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_RELEVANT_FLAGS = (
    *("sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"),
)

# a kernel driver, its devices, a Jetson's, and Windows' under WSL: there is no CUDA without one of them
_NVIDIA_SIGNS = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/nvhost-ctrl", "/dev/nvmap", "/dev/dxg")


def usable_cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu_name() -> str:
    """Give the processor's name as the system tells it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


@cache
def cpu_features() -> tuple[str, ...]:
    """Give the instruction sets that matter for a network; as OpenCV names them where the system does not say."""
    flags = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    if flags:
        return tuple(flag for flag in _RELEVANT_FLAGS if flag in flags)
    try:
        import cv2

        listed = str(cv2.getCPUFeaturesLine()).split()
    except Exception:
        return ()
    return tuple(name.lstrip("*") for name in listed if not name.endswith("?"))


def has_nvidia_driver() -> bool:
    """Say whether an NVIDIA driver is installed, by its files; whether it works is told by `vsf_edge.probe` only."""
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvcuda.dll").exists()
    return any(Path(sign).exists() for sign in _NVIDIA_SIGNS)


def nvidia_driver_version() -> str | None:
    """Give the version of NVIDIA's kernel driver, where Linux tells it."""
    try:
        found = re.search(r"\b\d{3,}\.[\d.]+\b", Path(_NVIDIA_SIGNS[0]).read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[0] if found else None


def installed(*names: str) -> dict[str, str]:
    """Give the version of each of these distributions that is installed, without importing one."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


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
