"""How virtual and true values of a quantity agree, cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from vsframework.evaluation.figures.style import CONSTANT, FAINT, HELD_OUT, STYLE, TRAINED_ON, same_ticks, to_svg
from vsframework.evaluation.results import QuantityResult
from vsframework.evaluation.wording import label, with_unit

VECTOR_POINTS = 2000
"""More points than this are drawn as an image inside the SVG, so that the report stays light."""


def scatter(cells: pd.DataFrame, result: QuantityResult) -> str:
    """Plot virtual against true values per cell, with the identity and the constant of the held-out donors."""
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9, 4.1))
        axes = figure.subplots()
        held_out = {row.donor for row in result.donors if row.held_out}
        unseen = cells["donor"].isin(held_out).to_numpy()
        true = cells[f"true_{result.name}"].to_numpy(float)
        virtual = cells[f"virtual_{result.name}"].to_numpy(float)
        constant = next(row.constant for row in result.donors if row.held_out)
        shown = np.concatenate([true, virtual, [constant]])
        low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
        margin = 0.04 * (high - low) or 1.0
        limits = (low - margin, high + margin)
        axes.plot(limits, limits, color=FAINT, linewidth=1, label="identity")
        axes.axhline(constant, color=CONSTANT, linewidth=1.3, linestyle=(0, (5, 3)), label="constant")
        styles = ((~unseen, TRAINED_ON, 8, 0.45, "trained on"), (unseen, HELD_OUT, 15, 0.8, "held out"))
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
            ylabel=f"virtual {with_unit(result.name, result.unit)}",
        )
        same_ticks(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        title = f"Virtual against true {label(result.name)}, one point per cell"
        return to_svg(figure, "scatter", title)
