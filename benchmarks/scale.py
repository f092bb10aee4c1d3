"""Building datasets of 10, 100 and 1 000 fields: time, memory, and what a second worker brings.

``python benchmarks/scale.py --json benchmarks/results/scale.json --picture docs/pictures/scale.png``

A few simulated fields are copied under as many names as are needed: what is measured is the building, and no field is
cheaper for having been seen before. Every build is a process of its own (``vsf dataset build``), so that its memory is
its own. One thread per worker, also where there is one worker, or a second worker would be compared with the second
thread of the first. All cells are simulated.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.config import load_experiment
from vsframework.dataset.layouts import find_fields
from vsframework.dataset.parts import part_key
from vsframework.fanout import ONE_THREAD, Workers, fan_out

COUNTS = (10, 100, 1000)
DISTINCT = 4
"""How many fields are simulated, one donor each; the rest are copies."""
LEAST_SPEEDUP = 1.8
TASKS = 3000
"""How many empty tasks the scheduler is timed with."""
PATCH = 64
"""Side of a patch: small, as the fields are, so that a thousand of them take minutes."""

BUILD = """
import json, resource, sys, time
from vsframework.cli import main
start = time.perf_counter()
try: main()
finally:
    who = {"client_mib": resource.RUSAGE_SELF, "worker_mib": resource.RUSAGE_CHILDREN}
    peaks = {name: resource.getrusage(number).ru_maxrss / 1024 for name, number in who.items()}
    used = [resource.getrusage(number) for number in who.values()]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu_seconds": cpu, **peaks}), file=sys.stderr)
"""


def simulate_fields(folder: Path) -> Path:
    """Simulate the distinct fields: 440x340 px, 2 cells each, one field per donor."""
    from vsframework.simulation import SimulationOptions, simulate

    root = folder / "simulated"
    simulate(root, SimulationOptions(donors=DISTINCT, fields=1, width=440, height=340, cells_per_field=2, seed=2))
    return root


def copies(simulated: Path, root: Path, count: int) -> Path:
    """Give a study of `count` fields, links to the simulated ones."""
    root.mkdir()
    for name in ("experiment.toml", "truth.json"):
        shutil.copy(simulated / name, root)
    for number in range(count):
        donor = f"donor{number % DISTINCT + 1}"
        for path in (path for path in (simulated / donor).rglob("*") if path.is_file()):
            name = path.relative_to(simulated).as_posix().replace("field000", f"field{number // DISTINCT:06d}")
            (root / name).parent.mkdir(exist_ok=True, parents=True)
            os.link(path, root / name)
    return root


def build(root: Path, workers: int) -> dict[str, Any]:
    """Build the dataset of a study in a process of its own."""
    shutil.rmtree(root / "run", ignore_errors=True)
    words = [
        "dataset",
        "build",
        str(root / "experiment.toml"),
        "-o",
        f"patches.size={PATCH}",
        "--workers",
        str(workers),
    ]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, *words, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **ONE_THREAD},
    )
    record: dict[str, Any] = json.loads(done.stderr.strip().splitlines()[-1])
    summary = json.loads(done.stdout)
    bytes_on_disk = sum(path.stat().st_size for path in (root / "run" / "dataset").rglob("*") if path.is_file())
    return {
        **record,
        "workers": workers,
        "hash": summary["hash"],
        "cells": sum(row["cells"] for row in summary["donors"]),
        "patches": sum(row["accepted"] for row in summary["donors"]),
        "bytes": bytes_on_disk,
        "files": sum(1 for path in (root / "run" / "dataset").rglob("*") if path.is_file()),
        "table_bytes": (root / "run" / "dataset" / "cells.csv").stat().st_size,
    }


def bookkeeping_bytes(root: Path, count: int) -> float:
    """Give what the client holds per field for as long as a build lasts: where its files are, and its part's key."""
    experiment = load_experiment(root / "experiment.toml")
    tracemalloc.start()
    fields = find_fields(experiment.data, root / experiment.data.root)
    keys = [part_key(files, root / experiment.data.root, {}) for files in fields]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(keys) == count
    return held / count


def nothing(item: int) -> int:
    """Do no work at all: what is left is the scheduler's."""
    return item


def scheduler_overhead() -> dict[str, float]:
    """Time the start of two workers, and a task that does nothing."""
    start = time.perf_counter()
    outcomes = fan_out(nothing, range(TASKS), Workers(count=2))
    next(outcomes)
    started = time.perf_counter()
    for _ in range(TASKS - 2):
        next(outcomes)
    last = time.perf_counter()
    next(outcomes)
    for _ in outcomes:
        pass
    return {
        "start_seconds": started - start,
        "task_ms": (last - started) / (TASKS - 2) * 1e3,
        "stop_seconds": time.perf_counter() - last,
    }


def measure(counts: tuple[int, ...]) -> dict[str, Any]:
    """Give the record."""
    load = os.getloadavg()[0]
    builds: list[dict[str, Any]] = []
    bookkeeping = 0.0
    with tempfile.TemporaryDirectory() as name:
        simulated = simulate_fields(Path(name))
        # no build that counts is the first to read the disk
        build(copies(simulated, Path(name) / "warm", DISTINCT), 1)
        for count in counts:
            root = copies(simulated, Path(name) / f"study{count}", count)
            for workers in (1, 2):
                found = {"fields": count, **build(root, workers)}
                builds.append(found)
                print(
                    f"{count:6} fields, {workers} worker(s): {found['seconds']:7.1f} s, "
                    f"{count / found['seconds']:5.1f} fields/s, client {found['client_mib']:.0f} MiB"
                )
            bookkeeping = bookkeeping_bytes(root, count)
            shutil.rmtree(root)
    overhead = scheduler_overhead()
    return {
        "benchmark": "scale",
        "what": f"{DISTINCT} simulated fields of 440x340 px with 2 cells, copied; patches of {PATCH} px",
        **circumstances(("numpy", "opencv-python-headless", "zarr", "distributed"), load),
        "builds": builds,
        "overhead": overhead,
        "bookkeeping_bytes_per_field": bookkeeping,
        **conclusions(builds, counts),
    }


def conclusions(builds: list[dict[str, Any]], counts: tuple[int, ...]) -> dict[str, Any]:
    """Say what the builds show: speed-up, time and memory per field between the smallest and the largest, sameness."""
    by = {(row["fields"], row["workers"]): row for row in builds}
    few, many = min(counts), max(counts)

    def per_field(what: str, workers: int, unit: float = 1) -> float:
        return float((by[many, workers][what] - by[few, workers][what]) / (many - few) * unit)

    speedup = by[many, 1]["seconds"] / by[many, 2]["seconds"]
    return {
        "speedup": speedup,
        "speedup_without_start": per_field("seconds", 1) / per_field("seconds", 2),
        "cpu_ms_per_field": {str(workers): per_field("cpu_seconds", workers, 1e3) for workers in (1, 2)},
        "ms_per_field": {str(workers): per_field("seconds", workers, 1e3) for workers in (1, 2)},
        "fields_per_second": {str(workers): many / by[many, workers]["seconds"] for workers in (1, 2)},
        "kib_per_field": {str(workers): per_field("client_mib", workers, 1024) for workers in (1, 2)},
        "worker_kib_per_field": per_field("worker_mib", 2, 1024),
        "bytes_per_field": per_field("bytes", 1),
        "files_per_field": per_field("files", 1),
        "table_bytes_per_field": per_field("table_bytes", 1),
        "patches_per_field": by[many, 1]["patches"] / many,
        "same": all(by[count, 1]["hash"] == by[count, 2]["hash"] for count in counts),
        "target": LEAST_SPEEDUP,
        "holds": speedup >= LEAST_SPEEDUP,
    }


def draw(record: dict[str, Any], path: Path) -> None:
    """Plot time and memory over the number of fields."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for workers, marker in ((1, "o"), (2, "s")):
        rows = [row for row in record["builds"] if row["workers"] == workers]
        fields = [row["fields"] for row in rows]
        axes[0].loglog(fields, [row["seconds"] for row in rows], marker=marker, label=f"{workers} worker(s)")
        axes[1].semilogx(
            fields, [row["client_mib"] for row in rows], marker=marker, label=f"client, {workers} worker(s)"
        )
        if workers == 2:
            axes[1].semilogx(fields, [row["worker_mib"] for row in rows], marker="^", label="largest worker")
    axes[0].set(xlabel="simulated fields", ylabel="time to build [s]")
    axes[1].set(xlabel="simulated fields", ylabel="peak memory [MiB]")
    axes[1].set_ylim(bottom=0)
    for part in axes:
        part.grid(alpha=0.3)
        part.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the result, write the record and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, nargs="+", default=COUNTS, help="sizes of the builds")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw time and memory into this PNG")
    arguments = parser.parse_args()
    record = measure(tuple(arguments.fields))
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    if arguments.picture:
        draw(record, arguments.picture)
    print(
        f"two workers: {record['speedup']:.2f} times as fast (at least {LEAST_SPEEDUP}: "
        f"{'held' if record['holds'] else 'NOT HELD'}), same dataset: {record['same']}; "
        f"{record['kib_per_field']['1']:.1f} KiB of memory per field; an empty task takes "
        f"{record['overhead']['task_ms']:.2f} ms"
    )


if __name__ == "__main__":
    main()
