"""How long the denoisers take for one dsDNA/ssDNA pair, the paper's against an obvious implementation in the same run.

Run ``python benchmarks/denoising.py`` for a table, with ``--json PATH`` for a record.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.interfaces import Denoiser
from vsframework.plugins import registry

RULES = ("histogram-mode", "mccallum-histogram", "border-median", "sigma-clip", "local-plane", "rolling-ball")
SIDE = 256
TARGET_MS = 0.3
"""Of the paper's denoiser on one pair of 256x256 patches."""


def patch_pair(seed: int = 0) -> npt.NDArray[np.uint8]:
    """A head of about 100x65 px over a dim background, as coarse as the real fields (red under 40 counts)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    head = np.clip(1.5 - np.hypot(columns / 85, rows / 55), 0, 1)
    return np.stack([rng.poisson(1.4 + 100 * head), rng.poisson(0.8 + 15 * head)]).clip(0, 255).astype(np.uint8)


def obvious(stains: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """The rule of the paper with ``np.unique`` and ``np.isin``."""
    counts = np.rint(stains[0])
    values, frequency = np.unique(counts, return_counts=True)
    frequent = values[np.argsort(-frequency, kind="stable")[:3]]
    mask = np.isin(counts, frequent)
    background = np.array([frequent.mean(), *(channel[mask].mean() for channel in stains[1:])])
    clean: npt.NDArray[np.float32] = np.clip(stains - background[:, None, None], 0, None).astype(np.float32)
    return clean


def median_ms(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time the functions in turns, so that a busy moment of the machine falls on all of them.

    Each is called once before it is timed: the caches hold its data and not those of the one before it.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repeats + 5):
        for name, function in functions.items():
            function()
            start = time.perf_counter()
            function()
            if turn >= 5:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def measure(repeats: int) -> dict[str, Any]:
    """Give the record: medians in ms and ratios, per dtype."""
    denoisers: dict[str, Denoiser] = {rule: registry().create("denoiser", rule) for rule in RULES}
    paper = denoisers["histogram-mode"]
    load = os.getloadavg()[0]
    results: dict[str, Any] = {}
    for dtype in ("uint8", "uint16", "float32"):
        stains = patch_pair().astype(dtype)
        np.testing.assert_allclose(paper.denoise(stains).stains, obvious(stains), atol=1e-4)
        medians = median_ms(
            {
                **{rule: partial(denoiser.denoise, stains) for rule, denoiser in denoisers.items()},
                "obvious": partial(obvious, stains),
            },
            repeats,
        )
        results[dtype] = {
            "median_ms": medians,
            "obvious_over_histogram_mode": medians["obvious"] / medians["histogram-mode"],
            "within_target": medians["histogram-mode"] <= TARGET_MS,
        }
    return {
        "benchmark": "denoising",
        "what": f"one pair of {SIDE}x{SIDE} patches, {repeats} repeats in turns, warm caches, one thread",
        "target_ms": TARGET_MS,
        **circumstances(("numpy", "opencv-python-headless", "scikit-image"), load),
        "results": results,
    }


def main() -> None:
    """Print a table, or write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here instead of printing a table")
    parser.add_argument("--repeats", type=int, default=200, help="timed calls per implementation (default 200)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    record = measure(arguments.repeats)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
        return
    print("median ms    " + "".join(f"{name:>20}" for name in (*RULES, "obvious", "obvious / paper's")))
    for dtype, result in record["results"].items():
        medians = result["median_ms"]
        figures = [*medians.values(), result["obvious_over_histogram_mode"]]
        print(f"{dtype:13}" + "".join(f"{figure:20.3f}" for figure in figures))
    load = record["load_average"]["before"]
    print(f"target of histogram-mode: {TARGET_MS} ms; load average of this machine: {load:.1f}")


if __name__ == "__main__":
    main()
