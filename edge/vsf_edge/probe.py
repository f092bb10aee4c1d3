"""Asks what may end a process (drivers, runtimes) in another process, so that only that one ends.

A broken driver, a lean TensorRT without a GPU, or two builds of one library can crash instead of raising. ``python -m
vsf_edge.probe cuda`` and ``python -m vsf_edge.probe runtime MODULE:CLASS`` answer in JSON.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
from functools import cache
from typing import Any

from vsf_edge.errors import EdgeError, brief
from vsf_edge.interfaces import Availability, Runtime
from vsf_edge.machine import has_nvidia_driver, nvidia_driver_version

TIMEOUT_S = 60.0

_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76  # CUdevice_attribute


def ask(*arguments: str, timeout: float = TIMEOUT_S) -> Any:
    """Run a probe in a process of its own and give its answer.

    Raises
    ------
    EdgeError
        When it crashes, hangs or fails, in one sentence.
    """
    command = [sys.executable, "-m", "vsf_edge.probe", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=timeout, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise EdgeError(f"it did not answer within {timeout:g} s") from None
    except OSError as error:
        raise EdgeError(f"it could not be asked: {brief(error)}") from error
    if done.returncode < 0:
        raise EdgeError(f"it crashed ({signal.Signals(-done.returncode).name})")
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise EdgeError(f"it ended with code {done.returncode}: {last[0][:200]}") from None
    if "problem" in answer:
        raise EdgeError(answer["problem"])
    return answer["found"]


def availability(target: str) -> Availability:
    """Give what the runtime ``MODULE:CLASS`` says about itself; a crash or hang becomes its reason."""
    try:
        return Availability(**ask("runtime", target))
    except EdgeError as error:
        return Availability(usable=False, detail=str(error), facts={})


@cache
def cuda() -> dict[str, Any]:
    """Give driver version and GPUs as CUDA itself tells them; ``problem`` says why there is none."""
    if not has_nvidia_driver():
        return {"devices": [], "problem": "there is no NVIDIA driver"}
    try:
        found: dict[str, Any] = {**ask("cuda", timeout=20), "driver": nvidia_driver_version()}
    except EdgeError as error:
        return {"devices": [], "problem": f"the NVIDIA driver does not answer: {error}"}
    return found


def _cuda() -> dict[str, Any]:
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    _call(driver, "cuInit", 0)
    number = ctypes.c_int()
    _call(driver, "cuDriverGetVersion", ctypes.byref(number))
    cuda_version = f"{number.value // 1000}.{number.value % 1000 // 10}"
    _call(driver, "cuDeviceGetCount", ctypes.byref(number))
    devices = []
    for index in range(number.value):
        device = ctypes.c_int()
        _call(driver, "cuDeviceGet", ctypes.byref(device), index)
        name = ctypes.create_string_buffer(256)
        _call(driver, "cuDeviceGetName", name, 256, device)
        memory = ctypes.c_size_t()
        _call(driver, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
        values = []
        for attribute in (_MAJOR, _MINOR, _MULTIPROCESSORS):
            value = ctypes.c_int()
            _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
            values.append(value.value)
        devices.append(
            {
                "name": name.value.decode("utf-8", "replace"),
                "compute_capability": f"{values[0]}.{values[1]}",
                "multiprocessors": values[2],
                "memory_mib": memory.value >> 20,
            }
        )
    return {"cuda": cuda_version, "devices": devices, "problem": "" if devices else "the driver lists no GPU"}


def _call(driver: Any, function: str, *arguments: Any) -> None:
    status = getattr(driver, function)(*arguments)
    if status:
        raise OSError(f"{function} of the driver gives error {status}")


def _runtime(target: str) -> dict[str, Any]:
    module, _, name = target.partition(":")
    built = getattr(importlib.import_module(module), name)()
    if not isinstance(built, Runtime):
        raise TypeError(f"{target} has not the methods of a runtime")
    return dataclasses.asdict(built.availability())


def main(arguments: list[str]) -> None:
    """Answer one question on standard output, as the last line, in JSON."""
    questions: dict[str, Any] = {"cuda": _cuda, "runtime": _runtime}
    answer: dict[str, Any]
    try:
        answer = {"found": questions[arguments[0]](*arguments[1:])}
        text = json.dumps(answer)
    except (Exception, SystemExit) as error:
        text = json.dumps({"problem": f"{type(error).__name__}: {brief(error)}"})
    sys.stdout.write(f"\n{text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
