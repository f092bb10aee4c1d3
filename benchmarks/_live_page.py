"""The record of the live benchmark in lines, as the table and as the picture of docs/live.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def in_order(record: dict[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Give each case, its name in parts: network, runtime, side, mode, heads; by these, not as they were measured."""
    named = [(name.split(", "), result) for name, result in record["results"].items()]

    def place(case: tuple[list[str], dict[str, Any]]) -> tuple[str | int, ...]:
        generator, runtime, side, mode, heads = case[0]
        return generator, runtime, int(side.split()[0]), mode, int(heads.split()[0])

    yield from sorted(named, key=place)


def line(name: str, result: dict[str, Any]) -> str:
    """Give a case in a line."""
    if result["fps"] is None:
        return f"{name}: {result['reason']}"
    latency = result["paced_latency"]
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in result["paced_stages_p50_ms"].items())
    percentiles = " ".join(f"{name} {latency[f'{name}_ms']:.1f}" for name in ("p50", "p95", "p99"))
    return (
        f"{name}: {result['cells']:g} cells, {result['fps']:.1f} fps; paced {percentiles} ms; "
        f"outside {result['outside_ms']:.1f} ms, over the network alone {result['over_network_ms']:.1f} ms, "
        f"cpu {result['cpu_ms_per_frame']:.0f} ms ({stages})"
    )


def table(record: dict[str, Any]) -> str:
    """Give the table."""
    rows = ["| network, runtime | frame | mode | heads | fps | p50 | p95 | p99 | network | outside | over | cpu |"]
    rows.append("|---" * 12 + "|")
    for (generator, runtime, side, mode, _), result in in_order(record):
        if result["fps"] is None:
            rows.append(f"| {generator}, {runtime} | {side} | {mode} | | {result['reason']} | | | | | | | |")
            continue
        latency = result["paced_latency"]
        numbers = [latency["p50_ms"], latency["p95_ms"], latency["p99_ms"], result["paced_stages_p50_ms"]["stain"]]
        numbers += [result["outside_ms"], result["over_network_ms"], result["cpu_ms_per_frame"]]
        rows.append(
            f"| {generator}, {runtime} | {side} | {mode} | {result['cells']:g} | {result['fps']:.1f} | "
            + " | ".join(f"{ms:.1f}" for ms in numbers)
            + " |"
        )
    return "\n".join(rows)


def plot(record: dict[str, Any], path: Path) -> None:
    """Draw frames per second by case, a colour per network and runtime."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rates: dict[str, dict[str, float]] = {}
    cases: list[str] = []
    for parts, result in in_order(record):
        group, name = ", ".join(parts[:2]), ", ".join(parts[2:])
        rates.setdefault(group, {})[name] = result["fps"] or math.nan
        if name not in cases:
            cases.append(name)
    figure, axes = pyplot.subplots(figsize=(8, 0.45 * len(cases) + 1.2), layout="constrained")
    for index, (group, found) in enumerate(rates.items()):
        height = 0.8 / len(rates)
        places = [row + (index - (len(rates) - 1) / 2) * height for row in range(len(cases))]
        axes.plot([found.get(name, math.nan) for name in cases], places, "o", label=group)
    axes.axvline(25, color="0.4", linewidth=1, linestyle="--")
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.2, 0.5, 1, 2, 5, 10, 25, 50, 100, 200], minor=False)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlim(min(rate for found in rates.values() for rate in found.values() if rate > 0) / 1.5, 300)
    axes.grid(axis="x", which="both", linewidth=0.3)
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.set_xlabel("results per second, stains and DFI included (dashed: 25)")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
