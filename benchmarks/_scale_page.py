"""The measured part of docs/scale.md, written from the records: a test holds the page to them.

``python benchmarks/_scale_page.py`` after the benchmarks `scale`, `reading`, `tiled_staining` and `large_field`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- figures: python benchmarks/_scale_page.py -->", "<!-- end of figures -->"
MILLION = 1_000_000
SMALL, FULL = 64, 256
"""Sides of a patch: of the benchmark, and of the paper."""
PLANES = 5
"""One of brightfield, and two stains before and after denoising."""
PER_SHARD = 64


def figures() -> str:
    """Give the text between the marks."""
    scale, reading, tiled, large = (_record(name) for name in ("scale", "reading", "tiled_staining", "large_field"))
    parts = (_two_workers(scale), _builds(scale), _million(scale), _reading(reading), _tiled(tiled), _large(large))
    return "\n\n".join("\n".join(lines) for lines in parts)


def with_figures(page: str) -> str:
    """Give `page` with the figures of the records between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{figures()}\n{END}{rest.partition(END)[2]}"


def _record(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return record


def _where(record: dict[str, Any]) -> str:
    machine, load = record["machine"], record["load_average"]
    busy = f"load average {load['before']:.1f} before and {load['after']:.1f} after"
    return f"{machine['processor']}, {machine['cores']} cores, {busy}"


def _builds(record: dict[str, Any]) -> list[str]:
    lines = [
        "### Building",
        "",
        f"{record['what']}; {_where(record)} (`benchmarks/scale.py`).",
        "",
        "| fields | workers | time | processor time | fields/s | client's peak memory | largest worker's |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["builds"]:
        worker = f"{row['worker_mib']:.0f} MiB" if row["workers"] > 1 else "-"
        lines.append(
            f"| {row['fields']} | {row['workers']} | {row['seconds']:.1f} s | {row['cpu_seconds']:.1f} s | "
            f"{row['fields'] / row['seconds']:.2f} | {row['client_mib']:.0f} MiB | {worker} |"
        )
    most = max(row["fields"] for row in record["builds"])
    same = "the same, byte for byte" if record["same"] else "NOT the same"
    return [
        *lines,
        "",
        f"Two workers were {record['speedup']:.2f} times as fast as one at {most} fields, starting them included, and "
        f"their datasets are {same}. Each field more took {record['cpu_ms_per_field']['1']:.0f} ms of processor time "
        f"with one worker and {record['cpu_ms_per_field']['2']:.0f} ms with two, and of time "
        f"{record['ms_per_field']['1']:.0f} and {record['ms_per_field']['2']:.0f} ms: beside the start, two were "
        f"{record['speedup_without_start']:.2f} times as fast.",
    ]


def _two_workers(record: dict[str, Any]) -> list[str]:
    both = record["full_size"]

    def row(what: str, fields: int, way: str, gain: str) -> str:
        took = both[way]
        return f"| {what} | {fields} | {took['seconds']:.1f} s | {took['cpu_seconds']:.1f} s | {gain} |"

    count = both["fields"]
    held = "held" if record["holds"] else "**not held in this run**"
    return [
        "### Two workers",
        "",
        f"{count} simulated fields of 1920x1080 px (4, copied), patches of 256 px; {_where(record)} "
        "(`benchmarks/scale.py`).",
        "",
        "| build | fields | time | processor time | as fast as one worker |",
        "|---|---|---|---|---|",
        row("one worker, one thread", count, "one", "1"),
        row("one worker, all threads (without `--workers`)", count, "one_all_threads", _gain(both, "one_all_threads")),
        row(
            "two separate builds at the same time, one thread each",
            2 * count,
            "two_builds",
            _gain(both, "two_builds", 2),
        ),
        row("`--workers 2`, their start included", count, "two", _gain(both, "two")),
        "",
        f"Target: {record['target']}; {held}. Two loops of pure Python, which share nothing but the machine, got "
        f"{both['gain_of_a_loop']:.2f} times as much done as one in the same run, and two builds that know nothing of "
        f"each other {both['gain_of_two_builds']:.2f} times: that is what these cores had to give, "
        "beside whatever else ran on them.",
    ]


def _gain(both: dict[str, Any], way: str, builds: int = 1) -> str:
    return f"{builds * both['one']['seconds'] / both[way]['seconds']:.2f}"


def _million(record: dict[str, Any]) -> list[str]:
    cpu, task = record["cpu_ms_per_field"]["1"], record["overhead"]["task_ms"]
    start = record["overhead"]["start_seconds"]
    hours = MILLION * cpu / 3.6e6
    each = record["overhead"]["task_seconds"] * 1e3
    together = max(1, int(each / cpu))
    table = record.get("table_bytes_per_field")  # records of before it was counted lack it
    patches = record["patches_per_field"]
    millions = patches * MILLION / 1e6
    raw, stored = PLANES * SMALL**2 * 4, record["bytes_per_field"] / patches
    larger = (FULL / SMALL) ** 2
    terabytes = millions * 1e6 / 1e12
    lines = [] if table is None else [f"- **Table**: {table:.0f} B per field, {table / 1e3:.2f} GB."]
    return [
        "### A million fields",
        "",
        "Extrapolated from the builds above, not measured. Fields of another size take other times; the rest holds.",
        "",
        f"- **Work**: 10^6 fields x {cpu:.0f} ms = {hours:.0f} hours of one core, {hours / 32:.1f} hours of 32.",
        f"- **Tasks**: fields that take less than {each / 1e3:g} s go several to a task, these {together} at a time.",
        f"  An empty task takes {task:.2f} ms of client and scheduler: 10^6 / {together} x {task:.2f} ms =",
        f"  {MILLION / together * task / 3.6e6:.1f} hours, beside the work. So one scheduler keeps",
        f"  {together} x {cpu:.0f} / {task:.2f} = {together * cpu / task:.0f} workers busy with fields as small as",
        "  these. It knows of 8 tasks per worker at a time, whatever the number of fields. Starting two workers",
        f"  took {start:.1f} s.",
        *_memory(record),
        f"- **Patches**: {patches:.2f} accepted cells per field = {millions:.2f} million, a chunk in each of 3 arrays:",
        f"  {3 * millions:.1f} million chunks, in 3 x {millions:.2f} million / {PER_SHARD} =",
        f"  {3 * millions * 1e6 / PER_SHARD:,.0f} files (shards).",
        f"- **Bytes**: {stored / 1e3:.0f} kB on disk per patch of {SMALL} px, {stored / raw:.0%} of its",
        f"  {PLANES} x {SMALL} x {SMALL} x 4 B: {stored * terabytes:.2f} TB; with the paper's {FULL} px at the same",
        f"  ratio {stored * larger * terabytes:.1f} TB. Until the build is complete the parts, which are not",
        f"  compressed, need {raw * larger * terabytes:.1f} TB more at {FULL} px.",
        *lines,
    ]


def _memory(record: dict[str, Any]) -> list[str]:
    builds = record["builds"]
    few, many = (pick(row["fields"] for row in builds) for pick in (min, max))
    peak = {(row["fields"], row["workers"]): row["client_mib"] for row in builds}
    told = [f"{peak[many, workers] - peak[few, workers]:+.0f} MiB" for workers in (1, 2)]
    lines = [
        f"- **Memory of the client**: between {few} and {many} fields its peak changed by {told[0]} (one worker) and",
        f"  {told[1]} (two), in builds where a peak varies by 10 MiB: too little to tell a slope from. What grows is",
        "  the list of the files and the keys of the parts; neither pixels nor rows are held.",
    ]
    if "bookkeeping_bytes_per_field" in record:  # records of before it was counted lack it
        size = record["bookkeeping_bytes_per_field"]
        lines.append(f"  That list takes {size:.0f} B per field (tracemalloc): {size * MILLION / 2**30:.1f} GiB.")
    return lines


def _reading(record: dict[str, Any]) -> list[str]:
    lines = [
        "### Reading",
        "",
        f"{record['what']}; {_where(record)} (`benchmarks/reading.py`).",
        "",
        "| file | `read_image` | of a plain `tifffile.imread` | a region of 256x256 px by `open_field` |",
        "|---|---|---|---|",
    ]
    for kind, row in record["results"].items():
        share = "-"
        if row["share_of_plain"] is not None:
            share = f"{row['share_of_plain']:.2f} of {row['plain_mb_per_s']:.0f} MB/s"
        lines.append(f"| {kind} | {row['mb_per_s']:.0f} MB/s | {share} | {row['region_ms']:.2f} ms |")
    return lines


def _tiled(record: dict[str, Any]) -> list[str]:
    lines = [
        "### Staining a large field",
        "",
        f"{record['what']}; {_where(record)} (`benchmarks/tiled_staining.py`).",
        "",
        "| generator | halo | pixels seen, of the field's | processor time | beside the network | by blocks, to disk |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in record["results"].items():
        memory, blocks = row["in_memory"], row["by_blocks"]
        halo = "none: blended tiles" if row["halo"] is None else f"{row['halo']} px"
        lines.append(
            f"| `{name}` | {halo} | {memory['network_pixels']:.2f} | {memory['seconds']:.2f} s | "
            f"{memory['overhead']:.1%} | {blocks['seconds']:.2f} s, {blocks['overhead']:.1%} |"
        )
    verdict = "held" if record["holds"] else "not held in this run"
    return [*lines, "", f"Target: less than {record['target']:.0%} beside the network in memory; {verdict}."]


def _large(record: dict[str, Any]) -> list[str]:
    lines = [
        "### A field of 50 000 x 50 000 px",
        "",
        f"`vsf stain RUN FIELD.ome.zarr --scale 1`, {record['what']}; {_where(record)} (`benchmarks/large_field.py`).",
        "",
        "| field | time | processor time | peak memory of the command | result on disk |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['side']} x {row['side']} px | {row['seconds'] / 60:.1f} min | {row['cpu_seconds'] / 60:.1f} min | "
        f"{row['peak_mib']:.0f} MiB | {row['bytes'] / 1e9:.2f} GB |"
        for row in record["fields"]
    ]
    largest = max(row["largest_difference"] for row in record["fields"])
    spread = min(row["deviation_of_the_stain"] for row in record["fields"])
    return [
        *lines,
        "",
        "Four regions of 512x512 px of each, at random places, were compared with the same pixels stained at once in a",
        f"window of 1536x1536 px: they differ by {largest:.2g} counts at most (standard deviation of the stain:",
        f"{spread:.1f}). The command alone used one thread; much else ran on the machine.",
    ]


def main() -> None:
    """Write the figures into the page."""
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
