"""The model card of a bundle: what the model is for, what it learned from, how good it is, and where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsframework import UsageError
from vsframework.dataset.store import PatchDataset
from vsframework.evaluation.results import Evaluation, QuantityResult


def card_facts(run: Path, dataset: PatchDataset) -> dict[str, Any]:
    """Give what a model card tells of `run` beyond its settings, as JSON values for the bundle's metadata.

    ``donors`` counts the accepted cells of each donor; ``evaluation`` is None where the run was not evaluated.
    """
    counts = dataset.accepted()["donor"].value_counts()
    facts: dict[str, Any] = {"donors": {str(donor): int(counts[donor]) for donor in sorted(counts.index)}}
    try:
        evaluation = Evaluation.read(run)
    except UsageError:
        return {**facts, "evaluation": None}
    facts["evaluation"] = {
        "held_out": list(evaluation.held_out),
        "trained_on": list(evaluation.trained_on),
        "simulated": evaluation.simulated,
        "quantities": {quantity.name: _figures(quantity) for quantity in evaluation.quantities},
    }
    return facts


def model_card(manifest: Mapping[str, Any]) -> str:
    """Write the card in Markdown from what stands in `manifest`; what is not known is said to be not known."""
    metadata = manifest.get("metadata", {})
    sections = [
        f"# Model card: {metadata.get('experiment', 'a virtual staining model')}",
        "## Intended use",
        f"**{str(manifest.get('intended_use', 'research use only')).capitalize()}.** Not a medical device; not for "
        "diagnosis, and not for selecting treatment or cells for treatment.",
        _graph(manifest),
        "## Training data",
        _training(metadata),
        "## How good it is",
        _results(metadata.get("evaluation"), manifest),
        "## Limits",
        "- It knows the microscope, camera, stain and preparation of its training images only; on others its values "
        "mean nothing until they were compared with real stains there.\n"
        "- The stains are predictions: what brightfield does not show cannot be in them.\n"
        "- Parity with the trained network was measured on the reference patches of this bundle, not on every image.",
        "## Origin",
        _table({key: metadata.get(key) for key in ("dataset_hash", "checkpoint_sha256", "epochs", "bit_depth")}),
    ]
    return "\n\n".join(sections) + "\n"


def _graph(manifest: Mapping[str, Any]) -> str:
    lines = [f"- stain {stain['name']}: 0 to {stain['full_scale']:g} counts" for stain in manifest.get("stains", [])]
    lines += [f"- {item['name']} [{item['unit']}]: {item['description']}" for item in manifest.get("quantities", [])]
    return "\n".join(["It gives, from brightfield:", "", *lines])


def _training(metadata: Mapping[str, Any]) -> str:
    donors = metadata.get("donors")
    if not donors:
        return "Not known: this bundle was not made from a run."
    held_out = set((metadata.get("evaluation") or {}).get("held_out", metadata.get("held_out", [])))
    rows = [f"| {donor} | {cells} | {'yes' if donor in held_out else 'no'} |" for donor, cells in donors.items()]
    simulated = (metadata.get("evaluation") or {}).get("simulated")
    note = ["", "**The images are simulated.**"] if simulated else []
    return "\n".join(["| donor | accepted cells | held out |", "|---|---|---|", *rows, *note])


def _results(evaluation: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> str:
    if not evaluation:
        return "Not evaluated: run `vsf evaluate` and export again."
    units = {item["name"]: item["unit"] for item in manifest.get("quantities", [])}
    lines = [
        "Means over held-out donors. *Constant* is the other donors' median: a model that does not beat it has learned "
        "nothing about a cell.",
        "",
        "| quantity | cells | MAE | MAE of the constant | gain over the constant, interval |",
        "|---|---|---|---|---|",
    ]
    for name, figures in evaluation["quantities"].items():
        interval = figures["gain_interval"]
        text = (
            f"{interval['low']} to {interval['high']} ({interval['level']:.0%}, resampling {interval['resampled']})"
            if interval
            else "not known"
        )
        cells, mae, constant = figures["cells"], figures["mae"], figures["constant_mae"]
        lines.append(f"| {name} [{units.get(name, '?')}] | {cells} | {mae} | {constant} | {text} |")
    return "\n".join(lines)


def _figures(quantity: QuantityResult) -> dict[str, Any]:
    interval = quantity.interval
    return {
        "cells": quantity.held_out_cells,
        "mae": _rounded(quantity.held_out.mae),
        "constant_mae": _rounded(quantity.held_out.constant_mae),
        "gain_interval": interval
        and {
            "low": _rounded(interval.gain_low),
            "high": _rounded(interval.gain_high),
            "level": interval.level,
            "resampled": interval.resampled,
        },
    }


def _rounded(value: float) -> float | None:
    """Give four significant digits; None for NaN, which JSON does not have."""
    return float(f"{value:.4g}") if value == value else None


def _table(values: Mapping[str, Any]) -> str:
    rows = [f"| {key} | {'not known' if value is None else value} |" for key, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows])
