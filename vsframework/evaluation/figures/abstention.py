"""What abstaining is worth, and whether the intervals hold."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from vsframework.evaluation.figures.style import CONSTANT, FAINT, HELD_OUT, STYLE, to_svg
from vsframework.evaluation.trusting import QuantityTrustResult, TrustResult
from vsframework.evaluation.wording import with_unit


def risk_coverage_curve(result: QuantityTrustResult, trust: TrustResult) -> str:
    """Plot the mean absolute error of the cells answered against their share; empty where no cell was measured."""
    curve = result.risk_coverage
    if curve is None:
        return ""
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.3))
        axes = figure.subplots()
        share = 100 * np.array(curve.share)
        axes.plot(share, curve.best, color=FAINT, linewidth=1, linestyle=":", label="best order (nobody has it)")
        axes.axhline(curve.overall, color=CONSTANT, linewidth=1.3, linestyle=(0, (5, 3)), label="any order at random")
        axes.plot(share, curve.error, color=HELD_OUT, linewidth=1.6, label="smallest expected error first")
        if trust.answered < trust.cells:
            axes.axvline(100 * trust.answered / trust.cells, color=FAINT, linewidth=1, label="what the gates answer")
        axes.set(
            xlim=(0, 100.5),
            xlabel="cells answered (% of the held-out donors' cells)",
            ylabel=f"mean absolute error of {with_unit(result.name, result.unit)}",
        )
        axes.set_ylim(bottom=0)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=1)
        return to_svg(figure, f"risk-coverage-{result.name}", "Error against the share of cells answered")


def donor_coverage(result: QuantityTrustResult, level: float) -> str:
    """Plot, per held-out donor, the share of answered cells whose interval holds; empty without intervals."""
    rows = [row for row in result.donors if np.isfinite(row.covered)][::-1]
    if not rows:
        return ""
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9, 1.3 + 0.36 * len(rows)))
        axes = figure.subplots()
        axes.axvline(100 * level, color=CONSTANT, linewidth=1.3, linestyle=(0, (5, 3)), label="nominal")
        axes.scatter([100 * row.covered for row in rows], range(len(rows)), s=46, color=HELD_OUT, label="held out")
        axes.set_yticks(range(len(rows)), [row.donor for row in rows])
        axes.set(xlim=(0, 102), ylim=(-0.6, len(rows) - 0.4), xlabel="intervals that hold the true value (%)")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return to_svg(figure, f"coverage-{result.name}", "Coverage of the intervals per held-out donor")
