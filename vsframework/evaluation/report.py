"""The report of a run: one HTML file that needs nothing else, for the screen, the phone and the printer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from vsframework.atomic import write_text
from vsframework.errors import UsageError, VsfError
from vsframework.evaluation import figures, trust_wording, wording
from vsframework.evaluation.compared_errors import compare_runs
from vsframework.evaluation.comparing import Comparison
from vsframework.evaluation.examples import read_examples
from vsframework.evaluation.histograms import PixelHistograms
from vsframework.evaluation.results import FOLDER, Evaluation, QuantityResult, read_cells
from vsframework.evaluation.runs import dataset_path, provenance, require_run
from vsframework.evaluation.strips import Strip, draw_strip
from vsframework.evaluation.trusting import QuantityTrustResult

if TYPE_CHECKING:
    from vsframework.dataset.store import PatchDataset


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """Cells that are in no result: why (numbers left out), how many, and one cell as an example."""

    reason: str
    cells: int
    example: str


@dataclass(frozen=True, kw_only=True)
class ExampleRow:
    """A strip with the values of its cell."""

    strip: Strip
    donor: str
    true: float
    virtual: float
    reason: str


def write_report(run: Path, output: Path | None = None, beside: Sequence[Path] = ()) -> Path:
    """Write the report of an evaluated run, whole or not at all, and give its path (``report.html`` in the run).

    With `beside`, other evaluated runs, it also compares them all, donor by donor; without, it compares the run with
    its own baselines.

    Raises
    ------
    UsageError
        When there is no run, it has not been evaluated, or its dataset is gone.
    VsfError
        When a file of the run is damaged.
    """
    from vsframework.dataset.store import PatchDataset

    evaluation = Evaluation.read(require_run(run))
    if evaluation.method == "regressor":
        raise UsageError(f"{run} has no stains to show; its numbers are in {run / FOLDER} and 'vsf compare' reads them")
    dataset = PatchDataset.open(dataset_path(run))
    found = dataset.info.get("hash", "")
    if evaluation.dataset_hash != found:
        raise UsageError(
            f"the dataset {dataset.path} changed after {run} was evaluated; run 'vsf evaluate {run}' again"
        )
    target = output or run / "report.html"
    write_text(target, render(run, evaluation, dataset, _comparison(run, evaluation, beside)))
    return target


def render(run: Path, evaluation: Evaluation, dataset: PatchDataset, comparison: Comparison | None = None) -> str:
    """Give the report as HTML text."""
    room = files("vsframework.evaluation")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(
        number=wording.number,
        percent=wording.percent,
        label=wording.label,
        with_unit=wording.with_unit,
        p_value=wording.p_value,
    )
    template = environment.from_string((room / "report.html.j2").read_text(encoding="utf-8"))
    main = evaluation.quantities[0]
    cells = read_cells(run)
    histograms = PixelHistograms.read(run)
    return template.render(
        style=Markup((room / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        evaluation=evaluation,
        simulated=wording.SIMULATED,
        main=main,
        headline=_unbroken(wording.headline(evaluation, main)),
        verdict=_verdict(main),
        uncertainty=_unbroken(wording.uncertainty(main)),
        beside=_unbroken(wording.beside_regressor(evaluation, main)),
        trust=evaluation.trust,
        trusted=_trusted(evaluation),
        comparison=comparison,
        cautions=wording.cautions(evaluation, main),
        rows=sorted(main.donors, key=lambda row: (not row.held_out, row.donor)),
        donor_figure=_inline(figures.donor_errors(main)),
        scatter=_inline(figures.scatter(cells, main)),
        bland_altman=_inline(figures.bland_altman(cells, main)),
        calibration=_inline(figures.calibration(cells, main)),
        histograms=[_inline(figures.pixel_histogram(histograms, channel)) for channel in range(len(histograms.stains))],
        denoising=_denoising(cells, main.name),
        curves=[_inline(curve) for curve in figures.training_curves(_metrics(run))],
        examples=list(_examples(run, cells, evaluation)),
        rejections=rejections(dataset.cells),
        accepted=len(cells),
        rejected=len(dataset.cells) - len(cells),
        facts=list(_facts(run, evaluation, dataset)),
        config=_config(run),
    )


def rejections(cells: pd.DataFrame) -> list[Rejection]:
    """Count the rejected of `cells` (the dataset's table) by reason, most frequent first; numbers become "N"."""
    rejected = cells[~cells["accepted"].astype(bool)]
    if rejected.empty:
        return []
    kinds = rejected["reason"].map(lambda reason: re.sub(r"-?\d+(\.\d+)?", "N", reason) or "no reason was given")
    groups = rejected.groupby(kinds, sort=True)
    found = [
        Rejection(reason=str(reason), cells=len(group), example=f"{group['id'].iloc[0]}: {group['reason'].iloc[0]}")
        for reason, group in groups
    ]
    return sorted(found, key=lambda row: -row.cells)


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """What gates and intervals did to the value of interest, in words and pictures."""

    result: QuantityTrustResult
    lead: str
    sentences: list[str]
    coverage: Markup
    risk: Markup


def _trusted(evaluation: Evaluation) -> Trusted | None:
    trust = evaluation.trust
    if trust is None or not trust.quantities:
        return None
    result = trust.quantities[0]
    return Trusted(
        result=result,
        lead=_unbroken(trust_wording.in_short(trust, result)),
        sentences=[_unbroken(sentence) for sentence in trust_wording.trust_sentences(trust, result)],
        coverage=_inline(figures.donor_coverage(result, trust.level)),
        risk=_inline(figures.risk_coverage_curve(result, trust)),
    )


def _comparison(run: Path, evaluation: Evaluation, beside: Sequence[Path]) -> Comparison | None:
    """Compare the run with others, or with its own baselines; None where one donor is all there is to compare on."""
    if not beside and len(evaluation.held_out) < 2:
        return None
    return compare_runs([run, *beside], "mae", evaluation.quantities[0].name, baselines=not beside)


def _verdict(result: QuantityResult) -> str:
    """Colour of the headline: ``better``, ``worse`` or ``open`` where the interval includes no gain and no loss."""
    interval = result.interval
    if interval is None or not np.isfinite(interval.skill_low):
        return "open"
    if interval.skill_low > 0:
        return "better"
    return "worse" if interval.skill_high < 0 else "open"


def _unbroken(sentence: str) -> str:
    """Keep a number and its percent sign on one line."""
    return sentence.replace(" %", "\N{NO-BREAK SPACE}%")


def _denoising(cells: pd.DataFrame, quantity: str) -> tuple[float, float]:
    """Median of the true value before and after denoising."""
    return float(cells[f"raw_{quantity}"].median()), float(cells[f"true_{quantity}"].median())


def _examples(run: Path, cells: pd.DataFrame, evaluation: Evaluation) -> Iterator[ExampleRow]:
    name = evaluation.quantities[0].name
    ids = cells["id"].tolist()
    for example in read_examples(run):
        cell = cells.iloc[ids.index(example.cell)].to_dict()
        yield ExampleRow(
            strip=draw_strip(example, evaluation.stains),
            donor=str(cell["donor"]),
            true=float(cell[f"true_{name}"]),
            virtual=float(cell[f"virtual_{name}"]),
            reason=str(cell["reason"]) if cell.get("answered") == 0 else "",
        )


def _metrics(run: Path) -> pd.DataFrame:
    path = run / "metrics.csv"
    if not path.is_file():
        return pd.DataFrame()
    try:
        return pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, ValueError) as error:
        raise VsfError(
            f"{path} cannot be read as a table: {error}; remove it to get a report without curves"
        ) from error


def _config(run: Path) -> str:
    return (run / "config.toml").read_text(encoding="utf-8").strip()


def _facts(run: Path, evaluation: Evaluation, dataset: PatchDataset) -> Iterator[tuple[str, str]]:
    """Where everything came from: name and value, as the run, the dataset and the evaluation recorded it."""
    yield "evaluated", f"{evaluation.finished} in {evaluation.seconds:.0f} s"
    for name, version in evaluation.software.items():
        yield f"evaluation: {name}", version
    yield from _flat("training", provenance(run))
    shown = {key: value for key, value in dataset.info.items() if key not in ("experiment", "files", "quantities")}
    yield from _flat("dataset", shown)


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}: {name}", value)
        elif isinstance(value, list | tuple):
            yield f"{prefix}: {name}", ", ".join(str(item) for item in value)
        else:
            yield f"{prefix}: {name}", str(value)


def _inline(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - written by matplotlib, which escapes names
