"""What every benchmark's record says of itself: machine, versions, commit, time and load."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def circumstances(packages: Iterable[str], load_before: float) -> dict[str, Any]:
    """Describe where and when a benchmark ran.

    Parameters
    ----------
    packages
        Distributions whose version shapes the result; None in the record for one that is not installed.
    load_before
        ``os.getloadavg()[0]`` before the first measurement.
    """
    return {
        "machine": {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "commit": _commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": {"before": load_before, "after": os.getloadavg()[0]},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    root = Path(__file__).resolve().parents[1]
    answer = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
