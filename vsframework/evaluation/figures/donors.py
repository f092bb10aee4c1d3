"""Errors per donor beside the constant."""

from __future__ import annotations

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vsframework.evaluation.figures.style import CONSTANT, FAINT, HELD_OUT, STYLE, TRAINED_ON, to_svg
from vsframework.evaluation.results import QuantityResult
from vsframework.evaluation.wording import with_unit


def donor_errors(result: QuantityResult) -> str:
    """Plot, per donor, the model's mean absolute error beside the constant's."""
    with rc_context(STYLE):
        rows = sorted(result.donors, key=lambda row: (not row.held_out, row.donor))[::-1]  # the first one on top
        figure = Figure(figsize=(3.9, 1.3 + 0.36 * len(rows)))
        axes = figure.subplots()
        for place, row in enumerate(rows):
            color = HELD_OUT if row.held_out else TRAINED_ON
            axes.plot(
                [row.virtual.mae, row.constant_mae], [place, place], color=FAINT, linewidth=1, alpha=0.6, zorder=1
            )
            axes.scatter([row.virtual.mae], [place], s=46, color=color, zorder=3)
            axes.scatter([row.constant_mae], [place], s=46, marker="D", color=CONSTANT, zorder=2)
        axes.scatter([], [], s=46, color=HELD_OUT, label="model, held out")
        if any(not row.held_out for row in rows):
            axes.scatter([], [], s=46, color=TRAINED_ON, label="model, not held out")
        axes.scatter([], [], s=46, marker="D", color=CONSTANT, label="constant")
        axes.set_yticks(range(len(rows)), [row.donor for row in rows])
        axes.set(xlabel=f"mean absolute error of {with_unit(result.name, result.unit)}", ylim=(-0.6, len(rows) - 0.4))
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=1, handlelength=1.6
        )
        return to_svg(figure, "donors", "Mean absolute error per donor, model and constant")
