"""``vsf evaluate``: how far virtual stains can be trusted, beside the constant baseline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsframework.cli.columns import aligned
from vsframework.cli.options import echo_json, json_option, override_option

if TYPE_CHECKING:
    from vsframework.evaluation import Evaluation
    from vsframework.evaluation.results import QuantityResult


SUMMARISED = ("mae", "mape", "bias", "pearson", "spearman", "skill")


@click.command("evaluate")
@click.argument("what", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--device", default="cpu", show_default=True, help="Of torch: cpu, cuda, cuda:1, mps.")
@click.option(
    "--cv", type=click.Choice(["leave-one-donor-out"]), help="Train and evaluate RUN, an experiment file, per donor."
)
@click.option("--workers", default=1, show_default=True, help="With --cv: folds run at the same time.")
@override_option
@json_option
def command(what: Path, device: str, cv: str | None, workers: int, overrides: tuple[str, ...], as_json: bool) -> None:
    """Measure how far virtual stains can be trusted, beside what a constant and a direct regressor give.

    RUN is a run folder: every accepted cell is stained and measured, and the results go into its folder evaluation. Or
    it is a dataset folder: then only the constant baseline is printed, each donor held out in turn.

    With --cv leave-one-donor-out it is an experiment file: every donor in turn is held out, everything else is trained
    on, and the results of all folds are pooled in the run's folder leave-one-donor-out. Stop it whenever you like; the
    same command goes on.
    """
    from vsframework.errors import UsageError
    from vsframework.evaluation.runs import is_dataset

    if cv is not None:
        _cross_validate(what, overrides, workers, device, as_json)
    elif overrides or workers != 1:
        raise UsageError("-o and --workers go with --cv; a run is evaluated as it was trained")
    elif what.is_file():
        raise UsageError(f"{what} is no run folder; to validate an experiment add --cv leave-one-donor-out")
    elif is_dataset(what):
        _show_constants(what, as_json)
    else:
        _evaluate_run(what, device, as_json)


def _cross_validate(file: Path, overrides: tuple[str, ...], workers: int, device: str, as_json: bool) -> None:
    from vsframework.cross_validation import cross_validate

    def quiet(line: str) -> None:
        click.echo(line, err=True)

    folder, found = cross_validate(file, overrides, workers=workers, device=device, tell=quiet)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        click.echo(describe(found))
        click.echo(f"Results: {folder / 'evaluation'}")


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
    from vsframework.evaluation.wording import (
        SIMULATED,
        beside_regressor,
        cautions,
        headline,
        pixel_sentence,
        uncertainty,
        with_unit,
    )

    quantity = evaluation.quantities[0]
    what = "of virtual stains against true stains" if evaluation.method == "virtual" else "predicted without stains"
    title = f"{with_unit(quantity.name, quantity.unit)} {what}, per donor"
    parts = [title, "", _donor_lines(evaluation, quantity), "", headline(evaluation, quantity), uncertainty(quantity)]
    parts += [sentence for sentence in (beside_regressor(evaluation, quantity),) if sentence]
    parts += [pixel_sentence(result) for result in evaluation.pixels]
    if evaluation.trust and evaluation.trust.quantities:
        parts += ["", *trust_sentences(evaluation.trust, evaluation.trust.quantities[0])]
    notes = [*([SIMULATED] if evaluation.simulated else []), *cautions(evaluation, quantity)]
    return "\n".join(parts + [f"Note: {sentence}" for sentence in notes])


def _donor_lines(evaluation: Evaluation, quantity: QuantityResult) -> str:
    """Set the donor table; its columns are those of the method that was evaluated, and the MAEs of its baselines."""
    from vsframework.evaluation.wording import number, percent

    unit = quantity.unit
    stains = evaluation.method == "virtual"
    head = ["donor", "", "cells", "MAE", "constant", "regressor", "MAPE", "gain", "bias", "r", "rank r"]
    rows = []
    for row in sorted(quantity.donors, key=lambda row: (not row.held_out, row.donor)):
        found = row.virtual if stains or row.regressor is None else row.regressor
        rows.append(
            [
                row.donor,
                evaluation.role(row.donor),
                str(found.cells),
                number(found.mae, unit),
                number(row.constant_mae, unit),
                number(row.regressor.mae, unit) if row.regressor else "-",
                _fraction(found.mape),
                percent(row.skill if stains else row.regressor_skill),
                number(found.bias, unit),
                _fraction(found.pearson, 2),
                _fraction(found.spearman, 2),
            ]
        )
    summaries = [("mean", quantity.mean), ("S.D.", quantity.sd)]
    if 1 < quantity.held_out.donors < len(quantity.donors):
        summaries.insert(0, ("mean, held out", quantity.held_out))
    for name, values in summaries:
        own = {field: getattr(values, field if stains else f"regressor_{field}") for field in SUMMARISED}
        rows.append(
            [
                *(name, "", ""),
                *(number(value, unit) for value in (own["mae"], values.constant_mae, values.regressor_mae)),
                _fraction(own["mape"]),
                percent(own["skill"]) if name != "S.D." else "",
                number(own["bias"], unit),
                _fraction(own["pearson"], 2),
                _fraction(own["spearman"], 2),
            ]
        )
    return aligned([head, *rows], left=2)


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
    click.echo(aligned([["held out", "cells", "constant", "MAE", "MAPE"], *rows], left=1))


def _fraction(value: float, decimals: int = 3) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else "-"


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
