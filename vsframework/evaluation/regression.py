"""What a network says without any stain: the direct regressor, trained on the same donors, kept while it is valid."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import vsframework
from vsframework.atomic import write_text
from vsframework.config import Experiment
from vsframework.errors import VsfError
from vsframework.interfaces import Regressor
from vsframework.plugins import registry

if TYPE_CHECKING:
    from vsframework.dataset.store import PatchDataset

FILE = "baseline/regressor.json"
"""Inside a run: the predictions, and the key they are valid under."""
PATCHES_AT_ONCE = 256


def predict_directly(
    dataset: PatchDataset, cells: pd.DataFrame, column: str, experiment: Experiment, run: Path
) -> npt.NDArray[np.float64]:
    """Train the experiment's regressor on the donors that are not held out, and predict every cell.

    The predictions are kept in the run, and used again while the cells, their values, the donors trained on, the
    regressor, its seed and the software are the same.

    Parameters
    ----------
    dataset
        Where the brightfield patches are.
    cells
        The cells to predict, trained on ones among them: `id`, `donor`, `patch`, and `column` with the measured value.
    column
        What to learn; finite, any unit.
    experiment
        Says which donors are held out (for testing or validation: neither is learnt from), which regressor, which seed.
    run
        Run folder.

    Returns
    -------
    numpy.ndarray
        One value per row of `cells`, float64 [N].

    Raises
    ------
    VsfError
        When no cell is left to learn from, or a prediction is not finite.
    """
    learnt = ~cells["donor"].isin(experiment.split.held_out).to_numpy()
    if not learnt.any():
        raise VsfError("the direct regressor has no donor to learn from; hold fewer donors out")
    key = _key(dataset, cells, column, experiment)
    kept = _read(run / FILE)
    if kept.get("key") == key:
        return np.array(kept["predictions"], dtype=np.float64)
    chosen = _draw(learnt, experiment.baseline.max_cells, experiment.training.seed)
    part = cells.iloc[chosen]
    regressor: Regressor = registry().create("regressor", experiment.regressor.name, experiment.regressor.params)
    fitted = regressor.fit(
        _brightfield(dataset, part),
        part[column].to_numpy(np.float64),
        part["donor"].astype(str).tolist(),
        experiment.training.seed,
    )
    predictions = np.concatenate(
        [
            fitted.predict(_brightfield(dataset, cells.iloc[start : start + PATCHES_AT_ONCE]))
            for start in range(0, len(cells), PATCHES_AT_ONCE)
        ]
    )
    if not np.isfinite(predictions).all():
        raise VsfError(
            f"regressor {experiment.regressor.name!r} predicts values that are not finite; change its parameters, or "
            "set baseline.regressor = false"
        )
    (run / FILE).parent.mkdir(parents=True, exist_ok=True)
    write_text(run / FILE, json.dumps({"key": key, "quantity": column, "predictions": predictions.tolist()}))
    return predictions


def _key(dataset: PatchDataset, cells: pd.DataFrame, column: str, experiment: Experiment) -> str:
    plugin = registry().find("regressor", experiment.regressor.name).plugin
    values = hashlib.sha256(cells[["id", "donor", column]].to_csv(index=False, float_format="%.6g").encode())
    parts: dict[str, Any] = {
        "dataset": dataset.info.get("hash", ""),
        "values": values.hexdigest(),
        "held out": sorted(experiment.split.held_out),
        "regressor": experiment.regressor.table(),
        "cells": experiment.baseline.max_cells,
        "seed": experiment.training.seed,
        "software": {"vsframework": vsframework.__version__, plugin.distribution: plugin.version},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """What was kept; nothing where it is damaged, because it can be made again."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _draw(learnt: npt.NDArray[np.bool_], most: int, seed: int) -> npt.NDArray[np.intp]:
    rows = np.flatnonzero(learnt)
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _brightfield(dataset: PatchDataset, cells: pd.DataFrame) -> npt.NDArray[np.float32]:
    patches: npt.NDArray[np.float32] = np.asarray(
        dataset.brightfield.oindex[cells["patch"].to_numpy(int)], dtype=np.float32
    )
    return patches
