"""Building datasets of 10, 100 and 1 000 fields: time, memory, and what a second worker brings.

``python benchmarks/scale.py --json benchmarks/results/scale.json --picture docs/pictures/scale.png``

A few simulated fields are copied under as many names as are needed: what is measured is the building, and no field is
cheaper for having been seen before. Every build is a process of its own (``vsf dataset build``), so that its memory is
its own. One thread per worker, also where there is one worker, or a second worker would be compared with the second
thread of the first; what one worker takes with all its threads is told apart. All cells are simulated.

What two workers can gain depends on the machine. So the same run tells what two processes gain that have nothing to do
with each other: a loop of pure Python, and two builds by one worker each, at the same time.
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
from _two_at_once import gain_of_two
from vsframework import fanout
from vsframework.atomic import write_text
from vsframework.config import load_experiment
from vsframework.dataset.layouts import find_fields
from vsframework.dataset.parts import part_key
from vsframework.fanout import ONE_THREAD, TASK_SECONDS, Workers, fan_out

COUNTS = (10, 100, 1000)
DISTINCT = 4
"""How many fields are simulated, one donor each; the rest are copies."""
LEAST_SPEEDUP = 1.8
TASKS = 3000
"""How many empty tasks the scheduler is timed with."""
FULL_SIZE_FIELDS = 24
"""Of 1920x1080 px, as a study has them: what one and two workers take for them."""
PATCH = 64
"""Side of a patch: small, as the fields are, so that a thousand of them take minutes."""

BUILD = """
import json, re, resource, sys, time
from vsframework.cli import main
start = time.perf_counter()
try: main()
finally:
    seconds = time.perf_counter() - start
    if "multiprocessing.forkserver" in sys.modules:  # workers are its children, and count when it has ended
        sys.modules["multiprocessing.forkserver"]._forkserver._stop()
    own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    found = {"seconds": seconds, "cpu_seconds": sum(used.ru_utime + used.ru_stime for used in (own, workers))}
    # of this program alone: ru_maxrss would begin with what its parent held
    peak = re.search("VmHWM:[^0-9]*([0-9]+) kB", open("/proc/self/status").read()).group(1)
    found |= {"client_mib": int(peak) / 1024, "worker_mib": workers.ru_maxrss / 1024}
    print(json.dumps(found), file=sys.stderr)
"""


def simulate_fields(folder: Path, **options: Any) -> Path:
    """Simulate the distinct fields, one per donor: by default of 440x340 px, with 2 cells each."""
    from vsframework.simulation import SimulationOptions, simulate

    small = {"width": 440, "height": 340, "cells_per_field": 2, "seed": 2}
    root = folder / "simulated"
    simulate(root, SimulationOptions(donors=DISTINCT, fields=1, **(options or small)))
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


def start_build(root: Path, workers: int, patch: int, one_thread: bool = True) -> subprocess.Popen[str]:
    """Begin to build the dataset of a study in a process of its own."""
    shutil.rmtree(root / "run", ignore_errors=True)
    words = ["dataset", "build", str(root / "experiment.toml"), "-o", f"patches.size={patch}"]
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, *words, "--workers", str(workers), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(ONE_THREAD if one_thread else {})},
    )


def finish_build(building: subprocess.Popen[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Wait for a build; gives what it took, and what it says of the dataset."""
    out, errors = building.communicate()
    if building.returncode:
        raise RuntimeError(errors)
    return json.loads(errors.strip().splitlines()[-1]), json.loads(out)


def build(root: Path, workers: int) -> dict[str, Any]:
    """Build the dataset of a study of small fields, and weigh it."""
    record, summary = finish_build(start_build(root, workers, PATCH))
    files = [path for path in (root / "run" / "dataset").rglob("*") if path.is_file()]
    return {
        **record,
        "workers": workers,
        "hash": summary["hash"],
        "cells": sum(row["cells"] for row in summary["donors"]),
        "patches": sum(row["accepted"] for row in summary["donors"]),
        "bytes": sum(path.stat().st_size for path in files),
        "files": len(files),
        "table_bytes": (root / "run" / "dataset" / "cells.csv").stat().st_size,
    }


def two_workers(folder: Path, count: int) -> dict[str, Any]:
    """Build `count` fields of 1920x1080 px with one and two workers, and two such datasets at a time."""
    folder.mkdir()
    simulated = simulate_fields(folder, seed=5)
    roots = [copies(simulated, folder / name, count) for name in ("first", "second")]
    hashes: set[str] = set()

    def seconds(*workers: int, one_thread: bool = True) -> dict[str, float]:
        start = time.perf_counter()
        builds = [start_build(root, number, 256, one_thread) for root, number in zip(roots, workers, strict=False)]
        found = [finish_build(building) for building in builds]
        took = time.perf_counter() - start
        hashes.update(summary["hash"] for _, summary in found)
        return {"seconds": took, "cpu_seconds": sum(record["cpu_seconds"] for record, _ in found)}

    ways: dict[str, list[dict[str, float]]] = {"one": [], "two": [], "two_builds": [], "one_all_threads": []}
    for _ in range(2):  # one after the other: what the machine does beside shall fall on all
        ways["one"].append(seconds(1))
        ways["two"].append(seconds(2))
    ways["two_builds"].append(seconds(1, 1))
    ways["one_all_threads"].append(seconds(1, one_thread=False))
    best = {way: min(found, key=lambda one: one["seconds"]) for way, found in ways.items()}
    shutil.rmtree(folder)
    one = best["one"]["seconds"]
    return {
        "fields": count,
        "gain_of_a_loop": gain_of_two(),
        **best,
        "gain_of_two_builds": 2 * one / best["two_builds"]["seconds"],
        "speedup": one / best["two"]["seconds"],
        "same": len(hashes) == 1,
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
    fanout.TASK_SECONDS = 0  # every item is a task
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


def measure(counts: tuple[int, ...], full_size: int) -> dict[str, Any]:
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
        both = two_workers(Path(name) / "full-size", full_size)
    overhead = scheduler_overhead()
    return {
        "benchmark": "scale",
        "what": f"{DISTINCT} simulated fields of 440x340 px with 2 cells, copied; patches of {PATCH} px",
        **circumstances(("numpy", "opencv-python-headless", "zarr", "distributed"), load),
        "builds": builds,
        "full_size": both,
        "overhead": {**overhead, "task_seconds": TASK_SECONDS},
        "bookkeeping_bytes_per_field": bookkeeping,
        **conclusions(builds, counts),
        "target": LEAST_SPEEDUP,
        "holds": both["speedup"] >= LEAST_SPEEDUP,
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
    parser.add_argument("--full-size", type=int, default=FULL_SIZE_FIELDS, help="how many fields of 1920x1080 px")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw time and memory into this PNG")
    arguments = parser.parse_args()
    record = measure(tuple(arguments.fields), arguments.full_size)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    if arguments.picture:
        draw(record, arguments.picture)
    both = record["full_size"]
    print(
        f"two workers: {both['speedup']:.2f} times as fast on {both['fields']} fields of 1920x1080 px (at least "
        f"{LEAST_SPEEDUP}: {'held' if record['holds'] else 'NOT HELD'}), where two separate builds gain "
        f"{both['gain_of_two_builds']:.2f} and two loops of Python {both['gain_of_a_loop']:.2f}; "
        f"{record['speedup']:.2f} times on the small ones; same datasets: {record['same'] and both['same']}; an empty "
        f"task takes {record['overhead']['task_ms']:.2f} ms"
    )


if __name__ == "__main__":
    main()
