"""How every plot of the report looks: SVG inside a page, in its text colour, on light and on dark paper."""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

HELD_OUT, TRAINED_ON, CONSTANT, FAINT = "#2f81d0", "#8b95a1", "#d98a00", "#8b95a1"
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


def same_ticks(axes: Axes) -> None:
    """Give both axes ticks of one spacing rule, for plots of a value against itself."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
