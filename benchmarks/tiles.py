"""How much a cell's DFI depends on where it lies in the tiles of a field.

``python benchmarks/tiles.py RUN STUDY`` takes a trained run and the experiment folder with its fields (a simulated
study, for example), cuts around cells of held-out donors windows that begin at random places, stains each window as
``vsf stain`` stains a field (with the network's halo, where it has one), and measures the middle of the cell's patch.
Beside it: the blended tiles that networks without a halo get, and one tile alone, with the cell as far off its centre.
The result is told against the cell's own patch, stained alone.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from _record import circumstances
from vsframework.atomic import write_text
from vsframework.dataset.store import PatchDataset
from vsframework.images import read_image
from vsframework.inference import Stainer

MEASURED = 0.625
"""Side of the square around a cell that is measured, as a share of a patch: most heads, and not the neighbours."""

KINDS = {"whole": "as vsf stain does it", "blended": "blended tiles", "tiles": "one tile off its centre"}

Float32Array = npt.NDArray[np.float32]


def magnified(stainer: Stainer, path: Path) -> Float32Array:
    """Read a brightfield field as ``vsf stain`` magnifies it."""
    patches = stainer.experiment.patches
    field = read_image(path).plane().astype(np.float32)
    scale = patches.size / patches.field_px
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(field, None, fx=scale, fy=scale, interpolation=method), dtype=np.float32)


def quantity(stainer: Stainer, window: Float32Array, middle: tuple[int, int]) -> float:
    """Stain `window` and measure the square around `middle` (row, column)."""
    half = round(MEASURED * stainer.image_size / 2)
    rows, columns = (slice(at - half, at + half) for at in middle)
    stains = stainer.stain(window[None, None])[0][:, rows, columns]
    return float(stainer.quantifier.measure(stains, stainer.stains)[stainer.quantifier.quantities[0].name])


def one_cell(
    stainer: Stainer, blending: Stainer, field: Float32Array, middle: tuple[int, int], draw: np.random.Generator
) -> Any:
    """Measure one cell by its patch alone, in windows that begin at random places, and in single tiles off its centre.

    `blending` is the same stainer without a halo. None where the cell lies too near the border of its field for that.
    """
    side = stainer.image_size
    row, column = middle
    reach = 2 * side + side // 2
    if min(row, column) < reach or row > field.shape[0] - reach or column > field.shape[1] - reach:
        return None
    half = side // 2
    alone = quantity(stainer, field[row - half : row + half, column - half : column + half], (half, half))
    whole, blended, tiles = [], [], []
    for down, right in draw.integers(0, half, (8, 2)).tolist():
        top, left = row - half - side - down, column - half - side - right
        window = field[top : top + 3 * side + half, left : left + 3 * side + half]
        place = (half + side + down, half + side + right)
        whole.append(quantity(stainer, window, place))
        blended.append(quantity(blending, window, place))
        # as far off the centre of a tile as leaves the measured square inside
        off_row, off_column = (round((move / half - 0.5) * side * (1 - MEASURED)) for move in (down, right))
        top, left = row - half - off_row, column - half - off_column
        tile = field[top : top + side, left : left + side]
        tiles.append(quantity(stainer, tile, (half + off_row, half + off_column)))
    return {"alone": alone, "whole": whole, "blended": blended, "tiles": tiles}


def measure(run: Path, study: Path, count: int) -> dict[str, Any]:
    """Give the record for up to `count` cells of the run's test donors."""
    load = os.getloadavg()[0]
    stainer, blending = Stainer.load(run), Stainer.load(run)
    blending.halo = None
    data = stainer.experiment.data
    cells = PatchDataset.open(study / "run" / "dataset").accepted(stainer.experiment.split.test_donors)
    draw = np.random.default_rng(0)
    scale = stainer.experiment.patches.size / stainer.experiment.patches.field_px
    found: list[dict[str, Any]] = []
    for cell in cells.sample(frac=1, random_state=0).to_dict("records"):
        name = data.pattern.format(
            donor=cell["donor"], field=str(cell["field"]).split("/")[-1], channel=data.brightfield
        )
        result = one_cell(
            stainer,
            blending,
            magnified(stainer, study / data.root / name),
            (round(cell["y"] * scale), round(cell["x"] * scale)),
            draw,
        )
        found += [result] if result else []
        if len(found) == count:
            break
    table = pd.DataFrame(found)
    spread = {kind: float(np.mean([np.std(values, ddof=1) for values in table[kind]])) for kind in KINDS}
    away = {
        kind: float(np.mean([np.abs(np.array(row[kind]) - row["alone"]).mean() for row in found])) for kind in KINDS
    }
    return {
        "benchmark": "tiles",
        "what": f"{len(found)} cells of {run.name}, patches of {stainer.image_size} px, 8 places each",
        **circumstances(("torch", "numpy"), load),
        "halo": stainer.halo,
        "quantity": stainer.quantifier.quantities[0].name,
        "deviation_over_places": spread,
        "mean_difference_from_the_patch_alone": away,
        "cells": found,
    }


def main() -> None:
    """Print the result, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("study", type=Path)
    parser.add_argument("--cells", type=int, default=24, help="how many cells (default 24)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    record = measure(arguments.run, arguments.study, arguments.cells)
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    print(record["what"])
    for kind, name in KINDS.items():
        print(
            f"{name:24} S.D. over places {record['deviation_over_places'][kind]:.4f}, "
            f"from the patch alone {record['mean_difference_from_the_patch_alone'][kind]:.4f}"
        )


if __name__ == "__main__":
    main()
