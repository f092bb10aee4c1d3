"""The ledger of the background: what each rule takes for it, how sure that is, and what a grey level does to a cell.

The background decides the DFI more than the network does: 150x150 pixels of one grey level of red are a quarter to a
half of the ssDNA of a real cell. So nobody should have to trust one rule: the ledger puts them beside each other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vsframework.atomic import write_text
from vsframework.config import Selection
from vsframework.dataset.store import PatchDataset
from vsframework.errors import UsageError, VsfError
from vsframework.interfaces import BoolArray, Denoised, Denoiser, Quantifier
from vsframework.plugins import registry
from vsframework.progress import track

BLOCKS = 10
"""Blocks along each side of a patch for the standard error: they must be larger than what makes pixels alike (the
interpolation of the cut, glare, tails), and many."""


@dataclass(frozen=True)
class BackgroundLedger:
    """The background of every accepted cell of a dataset.

    Attributes
    ----------
    used
        The rule that made the dataset; `levels` has it first.
    quantity
        Name of the quantity that the sensitivities are of (``dfi``).
    stains
        Names of the channels.
    levels
        A row per cell, rule and stain: `id`, `rule`, `stain`, `level` and `standard_error` in counts, `pixels` (how
        many the level was read from), the quantity that the cell has after this rule (the same for all its stains),
        and `reason` (why the rule gave no level; then the numbers are NaN).
    cells
        A row per cell: `id`, `donor`, `field`, the quantity, its `low` and `high` among the rules, its `uncertainty`
        (standard error that follows from that of the used rule's levels), and per stain: ``level_*`` (used),
        ``standard_error_*``, ``spread_*`` (highest less lowest level among the rules), in counts, and ``per_count_*``:
        by how much the quantity rises when one count of this stain's background is left in the patch.
    """

    used: str
    quantity: str
    stains: tuple[str, ...]
    levels: pd.DataFrame
    cells: pd.DataFrame

    def summary(self) -> dict[str, Any]:
        """Give medians over the cells, for a report or a script; None where nothing could be said."""
        columns = ["uncertainty", *(f"{what}_{stain}" for stain in self.stains for what in PER_STAIN)]
        medians = {column: _number(self.cells[column].median()) for column in columns}
        per_rule = self.levels.pivot_table(index="rule", columns="stain", values="level", aggfunc="median", sort=False)
        values = self.levels.groupby("rule", sort=False)[self.quantity].median()
        return {
            "used": self.used,
            "quantity": self.quantity,
            "cells": len(self.cells),
            "median": medians,
            "median_range_between_rules": _number((self.cells["high"] - self.cells["low"]).median()),
            "median_level": {
                str(rule): {stain: _number(row[stain]) for stain in self.stains} for rule, row in per_rule.iterrows()
            },
            "median_value": {str(rule): _number(value) for rule, value in values.items()},
            "refused": {
                str(rule): int(count)
                for rule, count in self.levels[self.levels["reason"] != ""].groupby("rule")["id"].nunique().items()
            },
        }

    def tables(self) -> dict[str, Any]:
        """Give everything as JSON takes it: the summary, and both tables by rows."""
        rows = {name: json.loads(getattr(self, name).to_json(orient="records")) for name in ("cells", "levels")}
        return {**self.summary(), **rows}

    def write(self, folder: Path) -> None:
        """Write ``background_cells.csv`` and ``background_levels.csv`` into `folder`, each whole or not at all."""
        for name in ("cells", "levels"):
            table = getattr(self, name).to_csv(index=False, float_format="%.9g", lineterminator="\n")
            write_text(folder / f"background_{name}.csv", table)


PER_STAIN = ("level", "standard_error", "spread", "per_count")


def background_ledger(dataset: PatchDataset, rules: Sequence[str] = ()) -> BackgroundLedger:
    """Look at the background of every accepted cell of `dataset`.

    Parameters
    ----------
    dataset
        With fluorescence images.
    rules
        Names of denoisers to compare with the one that made the dataset, with their default parameters; by default
        all that are installed, except those that remove nothing.

    Raises
    ------
    UsageError
        When the dataset has no fluorescence images, or a rule is unknown.
    """
    if dataset.raw is None:
        raise UsageError(f"{dataset.path} has measured values and no fluorescence images, so there is no background")
    denoiser = Selection.model_validate(dataset.info["experiment"]["denoiser"])
    chosen = Selection.model_validate(dataset.info["experiment"]["quantifier"])
    quantifier: Quantifier = registry().create("quantifier", chosen.name, chosen.params)
    quantity = quantifier.quantities[0].name
    compared = _denoisers(denoiser, rules)
    levels: list[dict[str, Any]] = []
    cells: list[dict[str, Any]] = []
    for _, cell in track(list(dataset.accepted().iterrows()), "Looking at the background"):
        raw = np.asarray(dataset.raw[int(cell["patch"])], dtype=np.float32)
        found = {rule: _denoise(part, raw) for rule, part in compared.items()}
        values = {rule: _value(result, quantifier, dataset.stains) for rule, result in found.items()}
        own = [
            {**row, quantity: values[rule]}
            for rule, result in found.items()
            for row in _level_rows(rule, result, raw, dataset.stains)
        ]
        levels += [{"id": cell["id"], **row} for row in own]
        used = found[denoiser.name]
        changes = np.full(len(raw), np.nan)
        if isinstance(used, Denoised):
            changes = per_count(used.stains, quantifier, dataset.stains)
        cells.append(
            {
                **{key: cell[key] for key in ("id", "donor", "field")},
                quantity: values[denoiser.name],
                "low": float(np.nanmin(list(values.values()))),
                "high": float(np.nanmax(list(values.values()))),
                **_per_stain(pd.DataFrame(own), changes, dataset.stains),
            }
        )
    return BackgroundLedger(
        used=denoiser.name,
        quantity=quantity,
        stains=dataset.stains,
        levels=pd.DataFrame(levels),
        cells=pd.DataFrame(cells),
    )


def standard_error(image: npt.NDArray[np.floating[Any]], mask: BoolArray) -> float:
    """Give the standard error of the mean of `image` [H, W] over `mask` [H, W], in the unit of the image.

    Pixels beside each other are alike, so their number says too much. The patch is divided into 10x10 blocks, and what
    varies from block to block counts (the cluster-robust error of a ratio; Cochran, Sampling Techniques, 1977, sect.
    9A): NaN with pixels in less than two blocks. It is the error of the mean of the pixels that a rule has chosen, and
    says nothing about the choice: for that, look at the spread between rules.
    """
    height, width = image.shape
    block = (np.arange(height) * BLOCKS // height)[:, None] * BLOCKS + np.arange(width) * BLOCKS // width
    inside = block[mask]
    pixels = np.bincount(inside, minlength=BLOCKS * BLOCKS)
    filled = int((pixels > 0).sum())
    if filled < 2:
        return float("nan")
    residuals = image[mask].astype(np.float64)
    residuals -= residuals.mean()
    sums = np.bincount(inside, weights=residuals, minlength=BLOCKS * BLOCKS)
    return float(np.sqrt(filled / (filled - 1) * (sums**2).sum()) / pixels.sum())


def per_count(
    stains: npt.NDArray[np.floating[Any]], quantifier: Quantifier, channels: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Give by how much the first quantity of `stains` [C, H, W] rises per count left in each channel: [C].

    Half a count less and half a count more in every pixel, compared.
    """
    name = quantifier.quantities[0].name
    changes = np.empty(len(stains))
    for channel in range(len(stains)):
        shifted = np.stack([stains, stains]).astype(np.float64)
        shifted[:, channel] += np.array([-0.5, 0.5])[:, None, None]
        less, more = np.asarray(quantifier.measure(shifted, channels)[name], dtype=np.float64)
        changes[channel] = more - less
    return changes


def _denoisers(used: Selection, rules: Sequence[str]) -> dict[str, Denoiser | str]:
    """Build the rules by name, the used one first; of an installed one that cannot be built, the reason."""
    parts: dict[str, Denoiser | str] = {used.name: registry().create("denoiser", used.name, used.params)}
    for name in rules:
        if name not in parts:
            parts[name] = registry().create("denoiser", name)
    if rules:
        return parts
    entries = registry().entries("denoiser")
    names = [entry.component.name for entry in entries]
    for entry, name in zip(entries, names, strict=True):
        unique = name if names.count(name) == 1 else entry.qualified_name
        if unique in parts:
            continue
        try:
            part = entry.component.create()
        except Exception as error:  # one bad plugin must not take the ledger down
            parts[unique] = _reason(error)
            continue
        if not getattr(part, "passes_through", False):
            parts[unique] = part
    return parts


def _denoise(denoiser: Denoiser | str, raw: npt.NDArray[np.float32]) -> Denoised | str:
    """Denoise, or give the reason why the rule cannot."""
    if isinstance(denoiser, str):
        return denoiser
    try:
        return denoiser.denoise(raw)
    except Exception as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    return (
        str(error)
        if isinstance(error, VsfError)
        else f"failed with {type(error).__name__}: {' '.join(str(error).split())}"
    )


def _level_rows(
    rule: str, result: Denoised | str, raw: npt.NDArray[np.float32], stains: Sequence[str]
) -> list[dict[str, Any]]:
    if isinstance(result, str):
        nothing = {"level": np.nan, "standard_error": np.nan, "pixels": 0, "reason": result}
        return [{"rule": rule, "stain": stain, **nothing} for stain in stains]
    return [
        {
            "rule": rule,
            "stain": stain,
            "level": float(level),
            "standard_error": standard_error(image, result.mask),
            "pixels": int(result.mask.sum()),
            "reason": "",
        }
        for stain, level, image in zip(stains, result.background, raw, strict=True)
    ]


def _value(result: Denoised | str, quantifier: Quantifier, stains: Sequence[str]) -> float:
    if isinstance(result, str):
        return float("nan")
    measured = quantifier.measure(result.stains.astype(np.float64), stains)
    return float(np.asarray(measured[quantifier.quantities[0].name]))


def _per_stain(levels: pd.DataFrame, changes: npt.NDArray[np.float64], stains: Sequence[str]) -> dict[str, float]:
    """Give the columns of one cell that come from its `levels`, the used rule first, and what uncertainty follows."""
    row: dict[str, float] = {}
    variance = 0.0
    for stain, change in zip(stains, changes, strict=True):
        here = levels[levels["stain"] == stain]
        level, error = here[["level", "standard_error"]].to_numpy(np.float64)[0]
        row[f"level_{stain}"] = float(level)
        row[f"standard_error_{stain}"] = float(error)
        row[f"spread_{stain}"] = float(here["level"].max() - here["level"].min())
        row[f"per_count_{stain}"] = float(change)
        variance += (change * error) ** 2
    return {"uncertainty": float(np.sqrt(variance)), **row}


def _number(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
