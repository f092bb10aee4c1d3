"""Mutated files, thousands of them, end in a right read or one sentence, in a process that may take 2 GB and 10 s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FEW = {"tiff": 120, "ome_xml": 80, "png": 120, "numpy": 60, "zarr": 60, "layout": 60}
MANY = {"tiff": 40_000, "ome_xml": 20_000, "png": 25_000, "numpy": 5_000, "zarr": 20_000, "layout": 5_000}


def read_mutated(kind: str, seed: int, count: int, folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.images.fuzz_worker", kind, str(seed), str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    at = (folder / "at").read_text() if (folder / "at").exists() else "the start"
    assert done.returncode == 0, f"{kind} {seed}: ended with {done.returncode} at {at}: {done.stderr[-2000:]}"
    # libpng warns on the terminal by itself; a file with right sums and wrong content is needed for that
    said = [line for line in done.stderr.splitlines() if not line.startswith("PNG warning: ")]
    assert not said, f"{kind} {seed}: {said[:3]}"
    record: dict[str, Any] = json.loads(done.stdout)
    assert record["wrong"] == []
    assert record["read"] + record["refused"] == count
    return record


@pytest.mark.parametrize("kind", FEW)
def test_some_mutated_files(kind: str, tmp_path: Path) -> None:
    record = read_mutated(kind, 1, FEW[kind], tmp_path)
    assert min(record["read"], record["refused"]) > 0  # the mutations are neither harmless nor hopeless


@pytest.mark.slow
@pytest.mark.parametrize("kind", MANY)
def test_many_mutated_files(kind: str, tmp_path: Path) -> None:
    """In all 115 000."""
    share = 5_000
    records = []
    for seed in range(2, 2 + MANY[kind] // share):
        folder = tmp_path / str(seed)
        folder.mkdir()
        records.append(read_mutated(kind, seed, share, folder))
    totals = {name: sum(record[name] for record in records) for name in ("read", "refused")}
    print(kind, totals, "peak", max(record["peak_mb"] for record in records), "MB")
    assert sum(totals.values()) == MANY[kind]
