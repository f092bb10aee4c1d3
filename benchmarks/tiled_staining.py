"""What staining a large field costs beside the network: cutting, normalising, blending, magnifying, reading, writing.

``python benchmarks/tiled_staining.py --json benchmarks/results/tiled_staining.json``

Untrained networks of the usual size (how long they take does not depend on their weights) stain a field of camera
noise, in memory and block by block from one OME-Zarr into another, one thread of torch. The time inside the network is
taken out; the rest is the overhead. Both are the processor time of the process with all its threads, so that what else
the machine does does not count, and work that is moved into another thread does; medians of several runs after one
that does not count. The halo makes the network do more than the field has pixels: that is told apart, as
`network_pixels`.
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
import torch
from torch import nn

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.config import parse_experiment
from vsframework.freed_memory import keep_freed_memory
from vsframework.images import Image, open_field, write_ome_zarr
from vsframework.inference import Stainer
from vsframework.inference.whole_fields import Frame, StainedField
from vsframework.interfaces import Generator
from vsframework.plugins import registry
from vsframework.training.trained import TrainedGenerators

MOST_OVERHEAD = 0.05
STAINS = ("dsDNA", "ssDNA")
FIELD = (1080, 1920)
PATCHES = {"size": 256, "field_px": 150}
GENERATORS: tuple[tuple[str, dict[str, Any], int], ...] = (("fast", {}, 9), ("pix2pix", {"width": 16}, 3))
"""Name, parameters, and how often it is timed."""


class Timed(nn.Module):
    """A network that adds up its time and its pixels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seconds, self.pixels = 0.0, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Stain `images`."""
        start = time.process_time()
        stains: torch.Tensor = self.network(images)
        self.seconds += time.process_time() - start
        self.pixels += images.shape[0] * images.shape[2] * images.shape[3]
        return stains


def untrained(name: str, params: dict[str, Any]) -> tuple[Stainer, Timed]:
    """Give a stainer with a fresh network of the generator `name`, and the network."""
    architecture: Generator = registry().create("generator", name, params)
    size = PATCHES["size"]
    network = Timed(architecture.deploy(architecture.networks(1, len(STAINS), size).generator)).eval()
    info = {
        "stains": STAINS,
        "normalisation": {"brightfield_full_scale": 255.0, "stain_full_scale": [255.0] * len(STAINS)},
        "in_channels": 1,
        "image_size": size,
        "bit_depth": 8,
    }
    experiment = parse_experiment({"data": {"root": "."}, "patches": PATCHES}, "the benchmark")
    channels = (tuple(range(len(STAINS))),)
    trained = TrainedGenerators(
        experiment=experiment, info=info, networks=(network,), channels=channels, stride=architecture.stride
    )
    return Stainer(trained), network


def by_blocks(stainer: Stainer, frame: Frame, folder: Path) -> None:
    """Stain a field block by block, as one worker does."""
    stained = StainedField(folder / "stained.ome.zarr")
    stained.begin(frame, stainer, "benchmark")
    for row in stained.missing(frame.blocks[0]):
        for _ in stained.stain_row(stainer, frame, row):
            pass
        stained.finish_row(row, [])
    stained.finish()


def timed(network: Timed, act: Callable[[], object], pixels: float, repeats: int) -> dict[str, float]:
    """Time `act`, and how much of it is the network's: medians of the processor time."""
    totals, inside, overheads = [], [], []
    for repeat in range(repeats + 1):
        network.seconds, network.pixels = 0.0, 0
        start = time.process_time()
        act()
        total = time.process_time() - start
        if repeat:
            totals.append(total)
            inside.append(network.seconds)
            overheads.append((total - network.seconds) / network.seconds)
    return {
        "seconds": statistics.median(totals),
        "network_seconds": statistics.median(inside),
        "overhead": statistics.median(overheads),
        "largest_overhead": max(overheads),
        "network_pixels": network.pixels / pixels,
    }


def measure(scale: int) -> dict[str, Any]:
    """Give the record; `scale` divides the sides of the field."""
    load = os.getloadavg()[0]
    height, width = (side // scale for side in FIELD)
    magnification = PATCHES["size"] / PATCHES["field_px"]
    pixels = np.random.default_rng(0).normal(128, 10, (1, height, width)).clip(0, 255).astype(np.uint8)
    magnified = (round(height * magnification), round(width * magnification))
    image = np.random.default_rng(0).normal(128, 10, (1, 1, *magnified)).astype(np.float32)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "field.ome.zarr"
        write_ome_zarr(source, Image(pixels=pixels, channels=("BF",), bit_depth=8))
        for generator, params, repeats in GENERATORS:
            stainer, network = untrained(generator, params)
            halo = stainer.halo  # found out once per run, and not a part of staining
            frame = Frame(field=open_field(source), planes=(0,), scale=magnification)
            count = float(np.prod(magnified))
            results[generator] = {
                "params": params,
                "halo": halo,
                "repeats": repeats,
                "in_memory": timed(network, partial(stainer.stain, image), count, repeats),
                "by_blocks": timed(network, partial(by_blocks, stainer, frame, Path(name)), count, repeats),
            }
    overheads = [row["in_memory"]["overhead"] for row in results.values()]
    return {
        "benchmark": "tiled_staining",
        "what": f"a field of {width}x{height} px, magnified {magnification:.2f} times, untrained networks, one thread",
        **circumstances(("torch", "numpy", "zarr"), load),
        "results": results,
        "target": MOST_OVERHEAD,
        "holds": max(overheads) < MOST_OVERHEAD,
    }


def main() -> None:
    """Print the result, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smaller", type=int, default=1, help="divide the sides of the field by this")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as vsf does
    record = measure(arguments.smaller)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    for generator, row in record["results"].items():
        print(f"{generator}, halo {row['halo']}:")
        for way in ("in_memory", "by_blocks"):
            print(
                f"  {way:10} {row[way]['seconds']:6.2f} s of the processor, {row[way]['overhead']:.1%} beside the "
                f"network, which saw {row[way]['network_pixels']:.2f} times the pixels"
            )
    print(f"at most {record['target']:.0%} in memory: {'held' if record['holds'] else 'NOT HELD'}")


if __name__ == "__main__":
    main()
