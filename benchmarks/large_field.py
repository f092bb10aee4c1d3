"""What ``vsf stain`` takes for a field of 50 000 x 50 000 px: time, peak memory, and whether it is stained rightly.

``python benchmarks/large_field.py --json benchmarks/results/large_field.json``

A simulated field of 1920x1080 px is repeated until it is as large as that, as an OME-Zarr. The `fast` generator of the
usual size (trained for one epoch: how long it takes does not depend on its weights) stains it at the magnification of
the file, in a process of its own, with one thread. Small fields come first: what the memory grows by from there is what
a large field costs. Then regions of the result are compared with the same pixels stained at once, in memory, with more
around them than the network sees. The largest field needs about 25 GB of disk while this runs.
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
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.fanout import ONE_THREAD
from vsframework.images import open_field, read_image
from vsframework.images.ome_zarr_writing import ome_zarr_writer
from vsframework.inference import Stainer
from vsframework.pipeline import Run

SIDES = (2_000, 10_000, 50_000)
GREY_LEVEL = 1.0
CHUNK = 1024
PLACES = 4
REGION, AROUND = 512, 512
"""What is compared at each place, and how much of the field is around it, in pixels."""

STAIN = """
import json, re, resource, sys, time
from vsframework.cli import main
start = time.perf_counter()
try: main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    # of this program alone: ru_maxrss would count what its parent held before it
    peak = int(re.search("VmHWM:[^0-9]*([0-9]+) kB", open("/proc/self/status").read()).group(1)) / 1024
    times = {"seconds": time.perf_counter() - start, "cpu_seconds": used.ru_utime + used.ru_stime}
    print(json.dumps({**times, "peak_mib": peak}), file=sys.stderr)
"""


def trained_run(folder: Path) -> tuple[Path, npt.NDArray[np.generic]]:
    """Give a run of the `fast` generator of the usual size, and a brightfield field of its study."""
    from vsframework.simulation import SimulationOptions, simulate

    study = folder / "study"
    simulate(study, SimulationOptions(donors=2, fields=2, cells_per_field=3, seed=3))
    overrides = ("generator.name=fast", "training.epochs=1", 'split.test_donors=["donor2"]', "training.accelerator=cpu")
    run = Run(study / "experiment.toml", overrides)
    run.go("train", tell=lambda _: None)
    return run.path, read_image(study / "donor1" / "field000_BF.tif").plane()


def repeated(tile: npt.NDArray[np.generic], first: int, last: int, side: int) -> npt.NDArray[np.generic]:
    """Give the rows `first` to `last` of a field that repeats `tile`, `side` pixels wide."""
    rows = tile[np.arange(first, last) % tile.shape[0]]
    return np.ascontiguousarray(np.tile(rows, (1, -(-side // tile.shape[1])))[:, :side])


def write_field(path: Path, tile: npt.NDArray[np.generic], side: int) -> None:
    """Write a field of `side` x `side` pixels."""
    with ome_zarr_writer(
        path,
        shape=(1, side, side),
        dtype=tile.dtype,
        channels=("BF",),
        pixel_size_um=None,
        bit_depth=8,
        chunk=CHUNK,
    ) as array:
        for first in range(0, side, CHUNK):
            last = min(first + CHUNK, side)
            array[0, first:last] = repeated(tile, first, last, side)


def largest_difference(stainer: Stainer, source: Path, stained: Path) -> dict[str, float]:
    """Compare a few regions of `stained` with the same pixels of `source` stained at once, in counts."""
    field, result = open_field(source), open_field(stained)
    side = field.shape[1]
    draw = np.random.default_rng(0)
    largest, spread = 0.0, 0.0
    for top, left in draw.integers(AROUND, side - AROUND - REGION, (PLACES, 2)).tolist():
        # the network folds pixels: a window begins where a fold does
        top, left = (at // stainer.stride * stainer.stride for at in (top, left))
        window = field.read(top - AROUND, top + REGION + AROUND, left - AROUND, left + REGION + AROUND)
        at_once = stainer.stain(window[None])[0][:, AROUND : AROUND + REGION, AROUND : AROUND + REGION]
        there = result.read(top, top + REGION, left, left + REGION)
        largest = max(largest, float(np.abs(there - at_once).max()))
        spread = max(spread, float(at_once.std()))
    return {"largest_difference": largest, "deviation_of_the_stain": spread}


def stain(run: Path, tile: npt.NDArray[np.generic], folder: Path, side: int) -> dict[str, Any]:
    """Write a field, stain it in a process of its own, compare, and remove both."""
    source, out = folder / f"field{side}.ome.zarr", folder / f"stained{side}"
    write_field(source, tile, side)
    words = ["stain", str(run), str(source), "-o", str(out), "--scale", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", STAIN, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **ONE_THREAD},
    )
    found: dict[str, Any] = {"side": side, **json.loads(done.stderr.strip().splitlines()[-1])}
    [target] = json.loads(done.stdout)["stained"]
    found["bytes"] = sum(path.stat().st_size for path in Path(target).rglob("*") if path.is_file())
    found |= largest_difference(Stainer.load(run), source, Path(target))
    for path in (source, out):
        shutil.rmtree(path)
    return found


def main() -> None:
    """Print the result, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="sides of the fields in pixels")
    parser.add_argument("--folder", type=Path, help="where to work (default: the system's temporary folder)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    arguments = parser.parse_args()
    load, start = os.getloadavg()[0], time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        run, tile = trained_run(Path(name))
        halo = Stainer.load(run).halo
        for side in arguments.sides:
            row = stain(run, tile, Path(name), side)
            rows.append(row)
            print(
                f"{side} x {side} px: {row['seconds']:.0f} s ({row['cpu_seconds']:.0f} s of the processor), peak "
                f"{row['peak_mib']:.0f} MiB, at most {row['largest_difference']:.2g} counts from stained at once "
                f"(S.D. of the stain {row['deviation_of_the_stain']:.1f})",
                flush=True,
            )
    record = {
        "benchmark": "large_field",
        "what": "a simulated field of 1920x1080 px, repeated; generator fast of the usual size, one thread",
        **circumstances(("torch", "numpy", "zarr"), load),
        "halo": halo,
        "seconds_in_all": time.perf_counter() - start,
        "fields": rows,
        "holds": max(row["largest_difference"] for row in rows) < GREY_LEVEL,
    }
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
