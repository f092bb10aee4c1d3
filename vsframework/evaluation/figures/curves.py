"""Training curves."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vsframework.evaluation.figures.style import SERIES, STYLE, to_svg

PANELS = 8
"""Training curves shown at most."""


def training_curves(metrics: pd.DataFrame) -> list[str]:
    """Plot each column of ``metrics.csv`` over the epochs; text columns (the model's name) tell lines apart."""
    steps = next((name for name in ("epoch", "step") if name in metrics.columns), None)
    if steps is None or metrics.empty:
        return []
    numeric = [
        str(name)
        for name in metrics.select_dtypes("number").columns
        if name not in ("epoch", "step") and metrics[name].notna().any()
    ]
    labels = [name for name in metrics.columns if name not in metrics.select_dtypes("number").columns]
    series = metrics[labels].astype(str).agg(" ".join, axis=1) if labels else pd.Series("", index=metrics.index)
    drawn = []
    for name in [name for name in numeric if not re.search(r"second|time|rate", name)][:PANELS]:
        with rc_context(STYLE):
            figure = Figure(figsize=(3.9, 2.6))
            axes = figure.subplots()
            for (line, part), color in zip(metrics.groupby(series, sort=True), SERIES, strict=False):
                known = part[part[name].notna()]
                marker = "o" if len(known) < 3 else None
                axes.plot(known[steps], known[name], color=color, linewidth=1.3, marker=marker, label=str(line))
            axes.set(xlabel=steps)
            axes.set_title(f"{name.replace('_', ' ')} (mean per {steps})")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            if labels:
                figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
            drawn.append(to_svg(figure, f"curve-{name}", f"{name} over the training"))
    return drawn
