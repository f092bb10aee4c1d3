"""How wrong each denoiser makes the DFI, on simulated cells whose light is known.

One set of simulated fields is exposed again and again: with another background offset, noise and bit depth. Patches
are cut as ``vsf dataset build`` cuts them. The truth of a patch is the DFI of all light in it, before background and
camera; a neighbour's light therefore is no error of the denoiser, but what it does to the denoiser is.

Run ``python benchmarks/background.py`` for tables, with ``--json PATH`` for a record.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from numpy.random import default_rng

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.dataset.geometry import cut, share_outside
from vsframework.interfaces import Denoiser
from vsframework.plugins import registry
from vsframework.progress import track
from vsframework.simulation import SimulationOptions
from vsframework.simulation.optics import expose
from vsframework.simulation.study import simulate_study_field

SIDE = 150
STAINS = ("dsDNA", "ssDNA")
DEPTHS: tuple[Literal[8, 12, 16], ...] = (8, 12, 16)
OFFSETS = (0.5, 1.5, 4.0, 20.0)
"""Middle of the offset in 8-bit grey levels; a field has up to half a level more or less, its own per stain."""
NOISES = (1.0, 3.0)
"""Times the noise of the real fields."""
CROWDING = {"sparse": 5, "crowded": 30}
"""Cells per field of 1200x1000 px; the real fields of 1920x1080 px have about five."""
SLOPE = 2.0
"""Rise of a sloping background over one patch, in 8-bit grey levels."""

RULES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "none": ("none", {}),
    "histogram-mode": ("histogram-mode", {}),
    "mccallum-histogram": ("mccallum-histogram", {}),
    "border-median": ("border-median", {}),
    "border-median, clip": ("border-median", {"negative": "clip"}),
    "sigma-clip": ("sigma-clip", {}),
    "sigma-clip, clip": ("sigma-clip", {"negative": "clip"}),
    "local-plane": ("local-plane", {}),
    "rolling-ball": ("rolling-ball", {}),
}
"""What is compared; without parameters the defaults, but `limit` of mccallum-histogram is set to 30 grey levels."""


@dataclass(frozen=True)
class Scene:
    """The light of one simulated field [2, H, W] and the matrices that cut its whole patches."""

    crowding: str
    light: npt.NDArray[np.float64]
    cells: Sequence[npt.NDArray[np.float64]]

    def patches(self, stains: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.float32]]:
        """Cut every cell [2, SIDE, SIDE] out of `stains` [2, H, W]."""
        for matrix in self.cells:
            yield np.stack([cut(stain, matrix, (SIDE, SIDE), SIDE) for stain in stains])


def simulate_scenes(fields: Mapping[str, int], seed: int) -> list[Scene]:
    scenes = []
    for crowding, count in fields.items():
        options = SimulationOptions(width=1200, height=1000, cells_per_field=CROWDING[crowding], seed=seed)
        for donor in range(count):
            field = simulate_study_field(options, donor, 0)
            matrices = [cell.crop @ np.linalg.inv(field.to_dsdna) for cell in field.cells]
            shape = field.dsdna.shape
            whole = [matrix for matrix in matrices if share_outside(matrix, (SIDE, SIDE), shape) == 0]
            scenes.append(Scene(crowding, field.stain_light, whole))
    return scenes


def conditions() -> list[dict[str, Any]]:
    plain = [
        {"offset": offset, "noise": noise, "bit_depth": depth, "slope": 0.0}
        for offset, noise, depth in itertools.product(OFFSETS, NOISES, DEPTHS)
    ]
    return plain + [{"offset": OFFSETS[-1], "noise": 1.0, "bit_depth": depth, "slope": SLOPE} for depth in DEPTHS]


def measure_condition(condition: Mapping[str, Any], scenes: Sequence[Scene], seed: int) -> list[dict[str, Any]]:
    """Give a row per rule and crowding: mean absolute error and bias of the DFI, and the error of the ssDNA level."""
    gain = 1 << (condition["bit_depth"] - 8)
    denoisers = {name: _create(rule, params, gain) for name, (rule, params) in RULES.items()}
    errors: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number, scene in enumerate(scenes):
        random = default_rng((seed, number))  # the same offsets and noise under every condition
        offsets = condition["offset"] + random.uniform(-0.5, 0.5, 2)
        columns = np.arange(scene.light.shape[2]) - scene.light.shape[2] / 2
        background = offsets[:, None, None] + condition["slope"] / SIDE * columns
        background = np.broadcast_to(background, scene.light.shape)
        exposed = np.stack(
            [
                expose(light, condition["bit_depth"], random, noise=condition["noise"])
                for light in scene.light + background
            ]
        )
        for light, levels, patch in zip(*map(scene.patches, (scene.light, background, exposed)), strict=True):
            truth, level = _dfi(light), float(levels[1].mean())
            for name, denoiser in denoisers.items():
                result = denoiser.denoise(patch)
                error = (_dfi(result.stains) - truth, float(result.background[1]) / gain - level)
                errors.setdefault((scene.crowding, name), []).append(error)
    rows = []
    for (crowding, name), found in errors.items():
        dfi, level = np.array(found).T
        rows.append(
            {
                **condition,
                "crowding": crowding,
                "rule": name,
                "cells": len(found),
                "dfi_mae": float(np.abs(dfi).mean()),
                "dfi_bias": float(dfi.mean()),
                "ssdna_level_mae": float(np.abs(level).mean()),
            }
        )
    return rows


def measure(fields: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Give the record: a row per condition, crowding and rule."""
    load, start = os.getloadavg()[0], time.process_time()
    scenes = simulate_scenes(fields, seed)
    rows = [
        row
        for condition in track(conditions(), "Exposing and denoising")
        for row in measure_condition(condition, scenes, seed)
    ]
    return {
        "benchmark": "background",
        "what": "error of the DFI after each denoiser, simulated fields; offset, slope and levels in 8-bit grey levels",
        "simulated": True,
        "seed": seed,
        "fields": dict(fields),
        "cpu_s": round(time.process_time() - start, 1),
        **circumstances(("numpy", "scikit-image", "opencv-python-headless"), load),
        "rows": rows,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give a Markdown table: mean absolute error of the DFI in thousandths, by rule, under what each column names."""
    flat = [row for row in rows if not row["slope"]]
    plain_noise = [row for row in flat if row["noise"] == 1]
    columns: dict[str, list[Mapping[str, Any]]] = {"all": flat}
    columns |= {f"offset {offset:g}": [row for row in flat if row["offset"] == offset] for offset in OFFSETS}
    columns |= {f"noise x{noise:g}": [row for row in flat if row["noise"] == noise] for noise in NOISES}
    columns |= {f"{depth} bit": [row for row in plain_noise if row["bit_depth"] == depth] for depth in DEPTHS}
    columns |= {crowding: [row for row in flat if row["crowding"] == crowding] for crowding in CROWDING}
    columns["sloping"] = [row for row in rows if row["slope"]]
    lines = [f"| denoiser | {' | '.join(columns)} | bias | worst |", "|---" * (len(columns) + 3) + "|"]
    for rule in RULES:
        means = [np.mean([row["dfi_mae"] for row in chosen if row["rule"] == rule]) for chosen in columns.values()]
        own = [row for row in flat if row["rule"] == rule]
        means += [np.mean([row["dfi_bias"] for row in own]), max(row["dfi_mae"] for row in own)]
        lines.append(f"| `{rule}` | " + " | ".join(f"{1000 * mean:.1f}" for mean in means) + " |")
    return lines


def _create(rule: str, params: Mapping[str, Any], gain: int) -> Denoiser:
    if rule == "mccallum-histogram":
        params = {"limit": 30.0 * gain}
    denoiser: Denoiser = registry().create("denoiser", rule, dict(params))
    return denoiser


def _dfi(stains: npt.NDArray[Any]) -> float:
    green, red = stains.sum(axis=(1, 2), dtype=np.float64)
    return float(red / (green + red))


def main() -> None:
    """Print the table, or write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here as well")
    parser.add_argument("--sparse", type=int, default=6, help="sparse fields, a donor each (default 6)")
    parser.add_argument("--crowded", type=int, default=2, help="crowded fields, a donor each (default 2)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    record = measure({"sparse": arguments.sparse, "crowded": arguments.crowded}, arguments.seed)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    print("Simulated; mean absolute error of the DFI in thousandths:")
    print("\n".join(table(record["rows"])))
    print(
        f"{sum(row['cells'] for row in record['rows'][: 2 * len(RULES)]) // len(RULES)} cells, {record['cpu_s']} s CPU"
    )


if __name__ == "__main__":
    main()
