"""Reading fields: MB/s, and how much that is of what a plain tifffile read gives.

``python benchmarks/reading.py --json benchmarks/results/reading.json``

What `read_image` does more: it checks the chain of directories and every declared size before it reads, looks for
channel names, pixel size and bit depth, and refuses NaN. Noise of a camera, 1920x1080, from the page cache: the disk is
not measured. MB are of pixels in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.images import Image, open_field, read_image, write_ome_tiff, write_ome_zarr

SHAPE = (1080, 1920)
ROUNDS = 25


def seconds(act: Callable[[], object]) -> float:
    """Give how long `act` takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def compare(path: Path, megabytes: float, plain: Callable[[], object] | None) -> dict[str, Any]:
    """Time reading `path` whole, a 256x256 region of it, and the plain read, in turns."""
    field = open_field(path)
    acts: dict[str, Callable[[], object]] = {
        "ours": partial(read_image, path),
        "region": partial(field.read, 400, 656, 800, 1056),
    }
    if plain is not None:
        acts["plain"] = plain
    for act in acts.values():
        act()
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(ROUNDS):
        for name, act in acts.items():
            times[name].append(seconds(act))
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "mb_per_s": megabytes / median["ours"],
        "plain_mb_per_s": megabytes / median["plain"] if "plain" in median else None,
        "share_of_plain": median["plain"] / median["ours"] if "plain" in median else None,
        "region_ms": median["region"] * 1e3,
    }


def measure() -> dict[str, Any]:
    """Give the record."""
    load = os.getloadavg()[0]
    random = np.random.default_rng(0)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for bits, channels in ((8, 1), (12, 3)):
            dtype = np.uint8 if bits == 8 else np.uint16
            pixels = random.normal(2**bits / 2, 2**bits / 32, (channels, *SHAPE)).astype(dtype)
            image = Image(pixels=pixels, channels=tuple("abc"[:channels]), pixel_size_um=0.1, bit_depth=bits)
            megabytes = pixels.nbytes / 1e6
            kind = f"{bits} bit, {channels} channel(s)"
            ome, lzw, zarr = folder / f"{bits}.ome.tif", folder / f"{bits}-lzw.tif", folder / f"{bits}.ome.zarr"
            write_ome_tiff(ome, image)
            tifffile.imwrite(lzw, pixels, photometric="minisblack", compression="lzw")
            write_ome_zarr(zarr, image)
            for label, path in (("OME-TIFF", ome), ("LZW TIFF", lzw)):
                results[f"{label}, {kind}"] = compare(path, megabytes, partial(tifffile.imread, path))
            results[f"OME-Zarr, {kind}"] = compare(zarr, megabytes, None)
    return {
        "benchmark": "reading",
        "what": f"{SHAPE[1]}x{SHAPE[0]} px, camera noise, medians of {ROUNDS}",
        **circumstances(("numpy", "tifffile", "imagecodecs", "zarr"), load),
        "results": results,
    }


def main() -> None:
    """Print the result, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    arguments = parser.parse_args()
    record = measure()
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    for kind, row in record["results"].items():
        plain = (
            f", {row['share_of_plain']:.2f} of tifffile's {row['plain_mb_per_s']:.0f}" if row["share_of_plain"] else ""
        )
        print(f"{kind:28} {row['mb_per_s']:7.0f} MB/s{plain}; a 256x256 region in {row['region_ms']:.2f} ms")


if __name__ == "__main__":
    main()
