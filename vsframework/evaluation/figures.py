"""The report's plots, as SVG that stands inside a page, in its text colour, on light and on dark paper."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vsframework.evaluation.histograms import PixelHistograms
from vsframework.evaluation.results import QuantityResult
from vsframework.evaluation.wording import label, with_unit

HELD_OUT, TRAINED_ON, CONSTANT, FAINT = "#2f81d0", "#8b95a1", "#d98a00", "#8b95a1"
KIND_STYLES = {
    "raw": ("before denoising", "#8b95a1", "-"),
    "true": ("after denoising", "#1f9d5f", "-"),
    "virtual": ("virtual", "#c2448f", "--"),
}
SERIES = ("#2f81d0", "#d1495b", "#1f9d5f", "#d98a00", "#8456ce", "#8b95a1")
INK = "#010203"
"""Stands for the page's text colour until the SVG is written."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
}
VECTOR_POINTS = 2000
"""More points than this are drawn as an image inside the SVG, so that the report stays light."""
BARS = 256
"""Histograms are shown with at most this many bins."""
PANELS = 8
"""Training curves shown at most."""


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
        _same_ticks(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        title = f"Virtual against true {label(result.name)}, one point per cell"
        return to_svg(figure, "scatter", title)


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
            axes.scatter([], [], s=46, color=TRAINED_ON, label="model, trained on")
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


def pixel_histogram(histograms: PixelHistograms, channel: int) -> str:
    """Plot how often each intensity occurs in one stain, before and after denoising and in the virtual stain."""
    stain = histograms.stains[channel]
    with rc_context(STYLE):
        figure = Figure(figsize=(3.9, 3.0))
        axes = figure.subplots()
        filled = np.flatnonzero(sum(counts[channel] for counts in histograms.counts.values()))
        top = int(filled[-1]) + 1 if len(filled) else 1
        width = -(-top // BARS)
        edges = np.arange(0, -(-top // width) + 1) * width
        for kind, counts in histograms.counts.items():
            name, color, line = KIND_STYLES[kind]
            bins = np.add.reduceat(counts[channel][: edges[-1]], edges[:-1]).astype(float)
            total = bins.sum()
            shares = 100 * bins / total if total else np.full(len(bins), np.nan)
            axes.stairs(
                np.where(shares > 0, shares, np.nan), edges, color=color, linestyle=line, linewidth=1.2, label=name
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel=f"{stain} intensity (counts)", ylabel=f"pixels (% per {width} count{'s' if width > 1 else ''})")
        axes.set_xlim(0, edges[-1])
        axes.set_title(stain)
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=1, handlelength=1.6
        )
        return to_svg(figure, f"histogram-{channel}", f"Histogram of the pixels of {stain}, zeros not counted")


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


def to_svg(figure: Figure, identity: str, title: str) -> str:
    """Give `figure` as one ``<svg>`` element: scales with the page, takes its text colour, ids unique by `identity`."""
    with rc_context({"svg.hashsalt": identity}):
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    # the groups that matplotlib names are the same in every figure, and one page must not have an id twice
    svg = re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{re.sub(r'[^A-Za-z0-9-]', '-', identity)}-", svg)
    svg = svg.replace("*{stroke", "svg *{stroke")  # its style element would speak for the whole page
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{_escaped(title)}" ', 1)
    svg = re.sub(r"font: (\d+\.?\d*)px [^;\"]*", r"font-size: \1px; font-family: inherit", svg)
    return svg.replace(INK, "currentColor")


def _same_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
