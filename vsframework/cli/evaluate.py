"""``vsf evaluate``: how far virtual stains can be trusted, beside the constant baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsframework.cli.options import echo_json, json_option

if TYPE_CHECKING:
    from vsframework.evaluation import Evaluation
    from vsframework.evaluation.results import QuantityResult


@click.command("evaluate")
@click.argument("run_or_dataset", type=click.Path(path_type=Path))
@click.option("--device", default="cpu", show_default=True, help="Of torch: cpu, cuda, cuda:1, mps.")
@json_option
def command(run_or_dataset: Path, device: str, as_json: bool) -> None:
    """Measure how far virtual stains can be trusted, beside the constant baseline.

    RUN_OR_DATASET is a run folder: every accepted cell is stained and measured, and the results go into its folder
    evaluation. Or it is a dataset folder: then only the constant baseline is printed, each donor held out in turn.
    """
    from vsframework.evaluation.runs import is_dataset

    if is_dataset(run_or_dataset):
        _show_constants(run_or_dataset, as_json)
    else:
        _evaluate_run(run_or_dataset, device, as_json)


def _evaluate_run(run: Path, device: str, as_json: bool) -> None:
    from vsframework.evaluation.runs import dataset_path, require_run

    require_run(run)  # before torch is imported: a typing error is answered at once
    from vsframework.dataset.store import PatchDataset
    from vsframework.evaluation import evaluate
    from vsframework.inference import Stainer

    dataset = PatchDataset.open(dataset_path(run))
    result = evaluate(dataset, run, Stainer.load(run, device=device))
    click.echo(result.model_dump_json(indent=2) if as_json else describe(result))


def describe(evaluation: Evaluation) -> str:
    """Write an evaluation for the terminal: the donor table of the value of interest, and what it means."""
    from vsframework.evaluation.trust_wording import trust_sentences
    from vsframework.evaluation.wording import SIMULATED, cautions, headline, uncertainty, with_unit

    quantity = evaluation.quantities[0]
    title = f"{with_unit(quantity.name, quantity.unit)} of virtual stains against true stains, per donor"
    parts = [title, "", _donor_lines(quantity), "", headline(evaluation, quantity), uncertainty(quantity)]
    if evaluation.trust and evaluation.trust.quantities:
        parts += ["", *trust_sentences(evaluation.trust, evaluation.trust.quantities[0])]
    notes = [*([SIMULATED] if evaluation.simulated else []), *cautions(evaluation, quantity)]
    return "\n".join(parts + [f"Note: {sentence}" for sentence in notes])


def _donor_lines(quantity: QuantityResult) -> str:
    from vsframework.evaluation.wording import number, percent

    unit = quantity.unit
    head = ["donor", "", "cells", "MAE", "constant", "MAPE", "constant", "gain", "bias", "r"]
    rows = [
        [
            row.donor,
            "held out" if row.held_out else "trained on",
            str(row.virtual.cells),
            number(row.virtual.mae, unit),
            number(row.constant_mae, unit),
            _fraction(row.virtual.mape),
            _fraction(row.constant_mape),
            percent(row.skill),
            number(row.virtual.bias, unit),
            _fraction(row.virtual.pearson, 2),
        ]
        for row in sorted(quantity.donors, key=lambda row: (not row.held_out, row.donor))
    ]
    summaries = [("mean", quantity.mean), ("S.D.", quantity.sd)]
    if quantity.held_out.donors > 1:
        summaries.insert(0, ("mean, held out", quantity.held_out))
    for name, values in summaries:
        rows.append(
            [
                name,
                "",
                "",
                number(values.mae, unit),
                number(values.constant_mae, unit),
                _fraction(values.mape),
                _fraction(values.constant_mape),
                percent(values.skill) if name != "S.D." else "",
                "",
                "",
            ]
        )
    return _aligned([head, *rows], left=2)


def _show_constants(folder: Path, as_json: bool) -> None:
    import numpy as np

    from vsframework.dataset.store import PatchDataset
    from vsframework.errors import VsfError
    from vsframework.evaluation.donors import constant_results
    from vsframework.evaluation.wording import number, with_unit

    dataset = PatchDataset.open(folder)
    if not dataset.quantities:
        raise VsfError(f"{folder} has no measured quantity; build it with a quantifier")
    quantity = dataset.quantities[0]
    found = constant_results(dataset.accepted(), quantity.name)
    mae, mape = np.mean([[fit.mae, fit.mape] for _, _, fit in found], axis=0)
    if as_json:
        donors: list[dict[str, Any]] = [
            {"donor": donor, "cells": fit.cells, "constant": constant, "mae": fit.mae, "mape": _or_none(fit.mape)}
            for donor, constant, fit in found
        ]
        document: dict[str, Any] = {"quantity": quantity.name, "unit": quantity.unit, "donors": donors}
        document |= {"mae": float(mae), "mape": _or_none(float(mape))}
        echo_json(document)
        return
    rows = [
        [donor, str(fit.cells), number(constant, quantity.unit), number(fit.mae, quantity.unit), _fraction(fit.mape)]
        for donor, constant, fit in found
    ]
    rows.append(["mean", "", "", number(float(mae), quantity.unit), _fraction(float(mape))])
    click.echo(f"{with_unit(quantity.name, quantity.unit)}: one constant for all cells of a donor, the median of")
    click.echo("the cells of all other donors. A model is worth something where it beats this.\n")
    click.echo(_aligned([["held out", "cells", "constant", "MAE", "MAPE"], *rows], left=1))


def _fraction(value: float, decimals: int = 3) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else "-"


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    """Set text in columns: the first `left` columns to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
