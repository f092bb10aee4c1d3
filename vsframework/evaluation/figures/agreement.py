"""How virtual and true values of a quantity agree, cell by cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from vsframework.evaluation.figures.style import CONSTANT, FAINT, HELD_OUT, STYLE, TRAINED_ON, same_ticks, to_svg
from vsframework.evaluation.metrics import agreement
from vsframework.evaluation.results import QuantityResult
from vsframework.evaluation.wording import label, with_unit

VECTOR_POINTS = 2000
"""More points than this are drawn as an image inside the SVG, so that the report stays light."""
CALIBRATION_GROUPS = 10
"""Points of the calibration plot at most; each stands for five cells at least."""


def scatter(cells: pd.DataFrame, result: QuantityResult, word: str = "virtual") -> str:
    """Plot virtual against true values per cell, with the identity and the constants of the held-out donors.

    `word` is what the predicted values are called, here and below.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9, 4.1))
        axes = figure.subplots()
        held_out = {row.donor for row in result.donors if row.held_out}
        unseen = cells["donor"].isin(held_out).to_numpy()
        true = cells[f"true_{result.name}"].to_numpy(float)
        virtual = cells[f"virtual_{result.name}"].to_numpy(float)
        constants = sorted({row.constant for row in result.donors if row.held_out})
        shown = np.concatenate([true, virtual, constants])
        low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
        margin = 0.04 * (high - low) or 1.0
        limits = (low - margin, high + margin)
        axes.plot(limits, limits, color=FAINT, linewidth=1, label="identity")
        for number, constant in enumerate(constants):  # one per donor where each was held out in turn
            name = None if number else "constant"
            axes.axhline(constant, color=CONSTANT, linewidth=1.3, linestyle=(0, (5, 3)), label=name)
        styles = ((~unseen, TRAINED_ON, 8, 0.45, "not held out"), (unseen, HELD_OUT, 15, 0.8, "held out"))
        for which, color, size, alpha, name in styles:
            axes.scatter(
                true[which],
                virtual[which],
                s=size,
                color=color,
                alpha=alpha,
                linewidths=0,
                label=f"{name} ({int(which.sum())})",
                rasterized=bool(which.sum() > VECTOR_POINTS),
            )
        axes.set(
            xlim=limits,
            ylim=limits,
            aspect="equal",
            xlabel=f"true {with_unit(result.name, result.unit)}",
            ylabel=f"{word} {with_unit(result.name, result.unit)}",
        )
        same_ticks(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        title = f"{word.capitalize()} against true {label(result.name)}, one point per cell"
        return to_svg(figure, "scatter", title)


def bland_altman(cells: pd.DataFrame, result: QuantityResult, word: str = "virtual") -> str:
    """Plot virtual minus true against their mean for held-out cells, with the bias and the 95 % limits of agreement.

    Bland & Altman, Lancet 1986: a trend or a funnel shows what a correlation hides.
    """
    true, virtual = _held_out_pairs(cells, result)
    middle, difference = (true + virtual) / 2, virtual - true
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.4))
        axes = figure.subplots()
        axes.axhline(0, color=FAINT, linewidth=1, label="no difference")
        axes.scatter(
            middle, difference, s=15, color=HELD_OUT, alpha=0.8, linewidths=0, rasterized=len(middle) > VECTOR_POINTS
        )
        if len(difference) > 1:
            found = agreement(true, virtual)
            axes.axhline(found.bias, color=CONSTANT, linewidth=1.3, label="bias")
            for number, limit in enumerate((found.limit_low, found.limit_high)):
                name = None if number else "95 % limits of agreement"
                axes.axhline(limit, color=CONSTANT, linewidth=1, linestyle=(0, (5, 3)), label=name)
        axes.set(
            xlabel=f"mean of true and {word} {with_unit(result.name, result.unit)}",
            ylabel=f"{word} minus true {with_unit(result.name, result.unit)}",
        )
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=1)
        return to_svg(figure, "bland-altman", f"Bland-Altman plot of {label(result.name)}")


def calibration(cells: pd.DataFrame, result: QuantityResult, word: str = "virtual") -> str:
    """Plot what was measured against what was predicted, in groups of equally many held-out cells.

    Each point is the mean true value of a group with its 95 % interval (Student's t, cells taken as independent); on
    the grey line a virtual value can be read as it is.
    """
    true, virtual = _held_out_pairs(cells, result)
    groups = np.array_split(np.argsort(virtual, kind="stable"), max(1, min(CALIBRATION_GROUPS, len(virtual) // 5)))
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.4))
        axes = figure.subplots()
        predicted = np.array([virtual[group].mean() for group in groups if len(group)])
        measured = np.array([true[group].mean() for group in groups if len(group)])
        errors = np.array([_half_interval(true[group]) for group in groups if len(group)])
        if len(predicted):
            low = float(np.nanmin([predicted.min(), (measured - errors).min(), measured.min()]))
            high = float(np.nanmax([predicted.max(), (measured + errors).max(), measured.max()]))
            axes.plot([low, high], [low, high], color=FAINT, linewidth=1, label="identity")
        axes.errorbar(
            predicted,
            measured,
            yerr=np.nan_to_num(errors),
            fmt="o",
            markersize=5,
            color=HELD_OUT,
            elinewidth=1,
            label="group of cells",
        )
        axes.set(
            xlabel=f"mean {word} {with_unit(result.name, result.unit)}",
            ylabel=f"mean true {with_unit(result.name, result.unit)}",
        )
        same_ticks(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return to_svg(figure, "calibration", f"Calibration of {label(result.name)}")


def _held_out_pairs(
    cells: pd.DataFrame, result: QuantityResult
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give true and virtual values of held-out cells that have both."""
    held_out = {row.donor for row in result.donors if row.held_out}
    unseen = cells[cells["donor"].isin(held_out)]
    true = unseen[f"true_{result.name}"].to_numpy(np.float64)
    virtual = unseen[f"virtual_{result.name}"].to_numpy(np.float64)
    known = np.isfinite(true) & np.isfinite(virtual)
    return true[known], virtual[known]


def _half_interval(values: npt.NDArray[np.float64]) -> float:
    """Give half the 95 % interval of a mean; NaN for one value."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
