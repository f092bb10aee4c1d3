"""The truth as it lies on disk: a row per cell, and the smallest error that anybody can reach."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

from vsframework.atomic import atomic_path
from vsframework.errors import VsfError
from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.fragmentation import WEIGHTS
from vsframework.simulation.geometry import Floats

Row = dict[str, Any]


def field_rows(donor: str, name: str, field: SimulatedField) -> list[Row]:
    """Give one row of ``truth.csv`` per cell of `field`.

    ``h00`` to ``h22`` take brightfield pixels to crop pixels; ``a00`` to ``a22`` take them to dsDNA pixels and
    ``s00`` to ``s22`` to ssDNA pixels; cues are in standard deviations. Sums and backgrounds are
    in 8-bit grey levels, at any bit depth.
    """
    rows = []
    for index, cell in enumerate(field.cells):
        label = f"cell{index:02d}"
        rows.append(
            {
                "donor": donor,
                "field": name,
                "cell": label,
                "x": cell.x,
                "y": cell.y,
                "angle": cell.angle,
                "length": round(cell.length, 3),
                "dfi": cell.dfi,
                "visible": cell.visible,
                **{f"cue_{cue}": round(value, 6) for cue, value in cell.cues.items()},
                "green_sum": round(cell.green_sum, 2),
                "red_sum": round(cell.red_sum, 2),
                "overlapping": int(cell.overlapping),
                "background_dsDNA": field.background[0],
                "background_ssDNA": field.background[1],
                "brightfield_file": f"{donor}/{name}_BF.tif",
                "dsDNA_file": f"{donor}/{name}_dsDNA.tif",
                "ssDNA_file": f"{donor}/{name}_ssDNA.tif",
                "crop_file": f"{donor}/crops/{name}_{label}.png",
                **_matrix("h", cell.crop),
                **_matrix("a", field.to_dsdna),
                **_matrix("s", field.to_ssdna),
            }
        )
    return rows


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Say what a study holds and how well its DFI can be predicted, in all and per donor.

    ``best_mae`` is the mean absolute error of a predictor that knows all that the morphology shows (column
    ``visible``). It is a lower bound in expectation; noise, defocus and learning only add to it.
    ``constant_mae`` is the error of the other donors' median (None for a single donor): what a predictor must beat.
    """
    dfis = [row["dfi"] for row in rows]
    donors: dict[str, dict[str, Any]] = {}
    for donor in dict.fromkeys(row["donor"] for row in rows):
        own = [row for row in rows if row["donor"] == donor]
        others = [row["dfi"] for row in rows if row["donor"] != donor]
        donors[donor] = {
            "cells": len(own),
            "median_dfi": median(row["dfi"] for row in own),
            "best_mae": _best_mae(own),
            "constant_mae": fmean(abs(row["dfi"] - median(others)) for row in own) if others else None,
        }
    constants = [found["constant_mae"] for found in donors.values()]
    return {
        "cells": len(rows),
        "overlapping": sum(row["overlapping"] for row in rows),
        "dfi": {"mean": fmean(dfis), "sd": pstdev(dfis), "min": min(dfis), "max": max(dfis)},
        "weights": dict(WEIGHTS),
        "best_mae": _best_mae(rows),
        "best_mae_mean_of_donors": fmean(found["best_mae"] for found in donors.values()),
        "constant_mae_mean_of_donors": None if None in constants else fmean(constants),
        "donors": donors,
    }


def write_truth_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``truth.csv``."""
    if not rows:
        raise VsfError(f"{path.parent} would hold no cell: simulate larger fields")
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _best_mae(rows: Sequence[Mapping[str, Any]]) -> float:
    return fmean(abs(row["dfi"] - row["visible"]) for row in rows)


def _matrix(letter: str, matrix: Floats) -> Row:
    return {f"{letter}{i}{j}": round(float(matrix[i, j]), 9) + 0.0 for i in range(3) for j in range(3)}
