"""The plots of docs/real-data.md: the error by labelled cells, and how good the picked cell is."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from vsframework.atomic import atomic_path

CONSTANT, LABELS, MODEL, FAINT = "#d98a00", "#8b95a1", "#2f81d0", "#c3c9d0"
STYLE: dict[Any, Any] = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "font.size": 10}


def draw(record: dict[str, Any], folder: Path) -> None:
    """Write ``real-crops-mae.png`` and ``real-crops-selection.png`` into `folder`."""
    with matplotlib.rc_context(STYLE):
        for name, figure in (("mae", _errors(record)), ("selection", _selection(record))):
            with atomic_path(folder / f"real-crops-{name}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=130)


def _errors(record: dict[str, Any]) -> Figure:
    """A panel per donor and one for their mean: error by number of labelled cells, beside what needs no image."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    panels = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    donors = record["donors"]
    for panel, row in zip(panels, [*donors, None], strict=False):
        rows = donors if row is None else [row]
        steps = list(rows[0]["nested"])
        at = np.arange(len(steps))

        def mean(step: str, key: str, rows: list[dict[str, Any]] = rows) -> float:
            return fmean(one["nested"][step][key] for one in rows)

        panel.axhline(fmean(one["constant"] for one in rows), color=CONSTANT, label="constant (other donors' median)")
        panel.axhline(fmean(one["own_median"] for one in rows), color=FAINT, ls=":", label="the donor's own median")
        blind = [mean(step, "labels_only_mae") for step in steps[1:]]
        panel.plot(at[1:], blind, "o--", color=LABELS, ms=4, label="labelled cells alone, no image")
        panel.plot(at, [mean(step, "mae") for step in steps], "o-", color=MODEL, ms=5, label="from brightfield")
        title = "mean of the donors" if row is None else f"{row['donor']} ({row['cells']} cells)"
        panel.set_title(title, loc="left", fontsize=10)
        panel.set_xticks(at, ["0", "0*", *(step.removeprefix("k=") for step in steps[2:])])
    for panel in panels[3:]:
        panel.set_xlabel("labelled cells of the donor")
        panel.tick_params(labelbottom=True)
    for panel in panels[::4]:
        panel.set_ylabel("MAE of the DFI")
    panels[0].set_ylim(0, None)
    panels[7].axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    panels[7].legend(
        handles, labels, loc="center left", fontsize=8.5, title="0*: its unlabelled cells", title_fontsize=8.5
    )
    return figure


def _selection(record: dict[str, Any]) -> Figure:
    """Percentile of the best of n by prediction, each donor and their mean with its interval, beside chance."""
    rows = record["selection"]
    at = np.arange(len(rows))
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    panel = figure.subplots()
    panel.axhline(50, color=CONSTANT, label="random choice")
    panel.plot(at, [row["best_possible"] for row in rows], "--", color=LABELS, label="perfect prediction")
    for donor in rows[0]["donors"]:
        panel.plot(at, [row["donors"].get(donor, np.nan) for row in rows], color=FAINT, lw=1)
    last = rows[-1]["donors"]
    for donor, height in _apart(last, 2.5).items():
        panel.annotate(donor, (at[-1], height), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)
    middle = np.array([row["percentile"] for row in rows])
    spread = np.abs(np.array([[row["low"], row["high"]] for row in rows]).T - middle)
    panel.errorbar(at, middle, spread, fmt="o-", color=MODEL, capsize=3, label="from brightfield, mean of the donors")
    panel.set_xticks(at, [str(row["choose_from"]) for row in rows])
    panel.set_xlabel("n: cells of one donor to choose from")
    panel.set_ylabel("percentile of the picked cell (higher is better)")
    panel.set_ylim(40, 101)
    figure.legend(loc="outside upper center", fontsize=8.5, ncols=3)
    return figure


def _apart(heights: dict[str, float], gap: float) -> dict[str, float]:
    """Move labels up until each is at least `gap` above the one below."""
    placed: dict[str, float] = {}
    for name, height in sorted(heights.items(), key=lambda pair: pair[1]):
        placed[name] = max([height, *(lower + gap for lower in placed.values())])
    return placed
