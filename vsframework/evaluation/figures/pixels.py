"""Pixel intensities before and after denoising (the paper's Fig. 3)."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from vsframework.evaluation.figures.style import STYLE, to_svg
from vsframework.evaluation.histograms import PixelHistograms

KIND_STYLES = {
    "raw": ("before denoising", "#8b95a1", "-"),
    "true": ("after denoising", "#1f9d5f", "-"),
    "virtual": ("virtual", "#c2448f", "--"),
}
BARS = 256
"""Histograms are shown with at most this many bins."""


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
