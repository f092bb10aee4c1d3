"""How many heads the detectors find, what else they find, how far the direction is off, and how long it takes.

``simulated`` counts against known truth: fields at the defaults of ``vsf simulate``, and harder ones; ``real`` uses the
field and the crops of McCallum et al. 2019; ``live`` times what the live loop does per frame. Run
``python benchmarks/detectors.py`` for tables, with ``--json PATH`` for a record, ``--montage PATH`` for the picture of
docs/detection.md (simulated), and ``--real-montage PATH`` for one of the real crops, to look at and not to keep here.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from _detections_picture import field_picture, sheet_picture, write_picture
from _record import circumstances
from vsf_edge.cropping import crop
from vsf_edge.detectors.heads import Heads
from vsframework.atomic import write_text
from vsframework.images import read_image
from vsframework.interfaces import Detection, Detector
from vsframework.plugins import registry
from vsframework.simulation import SimulationOptions
from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.study import simulate_study_field

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FIELD, CROPS = DATA / "mccallum2019_field", DATA / "mccallum2019_crops"
DETECTORS = ("head-blob", "nuclei")

CONDITIONS: dict[str, tuple[int, dict[str, Any]]] = {
    "default": (5, {}),
    "crowded, 25 cells": (1, {"cells_per_field": 25}),
    "80 particles": (1, {"debris": 80}),
    "blur 4 px": (1, {"defocus": 4.0}),
    "light 1 to 0.4": (1, {}),
}
"""Fields per donor, of four donors, and what is not at its default."""

Image = npt.NDArray[np.generic]
Place = tuple[float, float, float]
"""Where a head is: x, y, and its angle."""


def detectors() -> dict[str, Detector]:
    """Give the detectors at their defaults."""
    return {name: registry().create("detector", name, {}) for name in DETECTORS}


def fields(condition: str, seed: int) -> Iterator[SimulatedField]:
    """Simulate the fields of a condition."""
    count, changed = CONDITIONS[condition]
    options = SimulationOptions(seed=seed, **changed)
    for donor in range(4):
        for number in range(count):
            yield simulate_study_field(options, donor, number)


def pictures(field: SimulatedField, condition: str) -> dict[str, tuple[Image, list[Place]]]:
    """Give the image that each detector looks at, and where the heads are in it."""
    brightfield: Image = field.brightfield
    if condition.startswith("light"):
        slope = np.linspace(1, 0.4, brightfield.shape[1])
        brightfield = np.rint(field.brightfield * slope).astype(field.brightfield.dtype)
    heads = [(cell.x, cell.y, cell.angle) for cell in field.cells]
    stained = [(*(field.to_dsdna @ [x, y, 1])[:2].tolist(), angle) for x, y, angle in heads]
    return {"head-blob": (brightfield, heads), "nuclei": (field.dsdna, stained)}


def turned(angle: float, other: float) -> float:
    """Give the angle between two directions in degrees, 0 to 180."""
    return abs(math.degrees(math.remainder(angle - other, 2 * math.pi)))


def pair(found: Sequence[Detection], true: Sequence[Place], reach: float = 25) -> list[tuple[Detection, Place, float]]:
    """Pair detections with heads, nearest first, each once, up to `reach` pixels (a quarter of a head) apart."""
    near = sorted(
        (math.hypot(one.x - other[0], one.y - other[1]), i, j)
        for i, one in enumerate(found)
        for j, other in enumerate(true)
    )
    pairs, used_found, used_true = [], set(), set()
    for apart, i, j in near:
        if apart <= reach and i not in used_found and j not in used_true:
            used_found.add(i)
            used_true.add(j)
            pairs.append((found[i], true[j], apart))
    return pairs


def simulated(seed: int) -> list[dict[str, Any]]:
    """Count against the truth of simulated fields."""
    rows = []
    for condition in CONDITIONS:
        counts = {name: {"fields": 0, "cells": 0, "found": 0} for name in DETECTORS}
        pairs: dict[str, list[tuple[Detection, Place, float]]] = {name: [] for name in DETECTORS}
        seconds: dict[str, list[float]] = {name: [] for name in DETECTORS}
        for field in fields(condition, seed):
            seen = pictures(field, condition)
            for name, detector in detectors().items():
                image, true = seen[name]
                start = time.process_time()
                found = detector.detect(image)
                seconds[name].append(time.process_time() - start)
                pairs[name] += pair(found, true)
                for key, count in (("fields", 1), ("cells", len(true)), ("found", len(found))):
                    counts[name][key] += count
        for name in DETECTORS:
            turns = np.array([turned(one.angle, other[2]) for one, other, _ in pairs[name]])
            rows.append(
                {
                    "condition": condition,
                    "detector": name,
                    **counts[name],
                    "recall": len(turns) / counts[name]["cells"],
                    "precision": len(turns) / max(1, counts[name]["found"]),
                    "apart_px": float(np.median([apart for *_, apart in pairs[name]])),
                    "turned_median": float(np.median(turns)),
                    "turned_90": float(np.quantile(turns, 0.9)),
                    "flipped": float((turns > 90).mean()),
                    "milliseconds": 1000 * float(np.median(seconds[name])),
                }
            )
    return rows


def real_field() -> list[dict[str, Any]]:
    """Find the four heads of the real field, in brightfield and in its two stains."""
    to_field = [np.linalg.inv(np.loadtxt(FIELD / "cells" / f"img{k:03d}_field_to_crop.txt")) for k in range(4)]
    true = [(*(m @ [74.5, 74.5, 1])[:2].tolist(), math.atan2(m[1, 0], m[0, 0])) for m in to_field]
    rows = []
    found_by = detectors()
    for name, file in (("head-blob", "brightfield_composite.png"), ("nuclei", "Green0.tif"), ("nuclei", "Red0.tif")):
        found = found_by[name].detect(read_image(FIELD / file).pixels[0])
        pairs = pair(found, true)
        rows.append(
            {
                "detector": name,
                "image": file,
                "heads": len(true),
                "found": len(pairs),
                "false": len(found) - len(pairs),
                "apart_px": max(apart for *_, apart in pairs),
                "turned_worst": max(turned(one.angle, other[2]) for one, other, _ in pairs),
            }
        )
    return rows


def real_crops() -> dict[str, Any]:
    """Find the one head of each real crop, which lies in the middle with its tip to the right."""
    detector = detectors()["head-blob"]
    files = sorted(CROPS.glob("*.jpg"))
    turns = []
    for file in files:
        found = [
            head
            for head in detector.detect(read_image(file).pixels[0])
            if math.hypot(head.x - 74.5, head.y - 74.5) < 20
        ]
        if len(found) == 1:
            turns.append(turned(found[0].angle, 0.0))
    off = np.array(turns)
    return {
        "crops": len(files),
        "one_head": len(turns) / len(files),
        "turned_median": float(np.median(off)),
        "over_20_degrees": float((np.minimum(off, 180 - off) > 20).mean()),
        "flipped": float((off > 90).mean()),
    }


def live(seed: int) -> list[dict[str, Any]]:
    """Time what the live loop does with a frame of about ten cells: one thread, least and median of 60."""
    rows = []
    for size, bit_depth in ((1024, 8), (2048, 16)):
        options = SimulationOptions(seed=seed, width=size, height=size, cells_per_field=10, bit_depth=bit_depth)
        frame = simulate_study_field(options, 0, 0).brightfield
        detector = Heads()
        heads = detector.detect(frame)
        find, cut = [], []
        for _ in range(60):
            start = time.process_time()
            detector.detect(frame)
            middle = time.process_time()
            crop(frame, heads, 150, 256)
            find.append(1000 * (middle - start))
            cut.append(1000 * (time.process_time() - middle) / len(heads))
        rows.append(
            {
                "size": size,
                "bit_depth": bit_depth,
                "heads": len(heads),
                "detect_least": min(find),
                "detect_median": float(np.median(find)),
                "crop_least": min(cut),
                "crop_median": float(np.median(cut)),
            }
        )
    return rows


def tables(found: dict[str, Any]) -> list[str]:
    """Write the tables of docs/detection.md, line by line."""
    lines = table(
        "fields | detector | cells | recall | precision | px apart | degrees off, median | 90 % under | flipped | ms",
        [
            f"{row['condition']} | `{row['detector']}` | {row['cells']} | {row['recall']:.3f} | "
            f"{row['precision']:.3f} | {row['apart_px']:.1f} | {row['turned_median']:.1f} | {row['turned_90']:.1f} | "
            f"{row['flipped']:.1%} | {row['milliseconds']:.0f}"
            for row in found["simulated"]
        ],
    )
    if isinstance(found["real_field"], list):
        lines += table(
            "image | detector | heads found | false | px apart, worst | degrees off, worst",
            [
                f"{row['image']} | `{row['detector']}` | {row['found']} of {row['heads']} | {row['false']} | "
                f"{row['apart_px']:.1f} | {row['turned_worst']:.1f}"
                for row in found["real_field"]
            ],
        )
    if isinstance(found["real_crops"], dict):
        row = found["real_crops"]
        lines += table(
            "real crops | one head | degrees off, median | axis over 20 degrees off | flipped",
            [
                f"{row['crops']} | {row['one_head']:.1%} | {row['turned_median']:.1f} | {row['over_20_degrees']:.1%} | "
                f"{row['flipped']:.1%}"
            ],
        )
    lines += table(
        "frame | heads | finding them, least (median), ms | cutting one, least (median), ms",
        [
            f"{row['size']} x {row['size']}, {row['bit_depth']} bit | {row['heads']} | {row['detect_least']:.1f} "
            f"({row['detect_median']:.1f}) | {row['crop_least']:.2f} ({row['crop_median']:.2f})"
            for row in found["live"]
        ],
    )
    return lines


def table(head: str, rows: Sequence[str]) -> list[str]:
    """Write one Markdown table, and an empty line."""
    rule = "|".join("---" for _ in head.split("|"))
    return [f"| {head} |", f"|{rule}|", *(f"| {row} |" for row in rows), ""]


def montage(seed: int, path: Path) -> None:
    """Draw what is found in a crowded simulated field, in brightfield and in dsDNA."""
    field = next(fields("crowded, 25 cells", seed))
    seen = pictures(field, "crowded, 25 cells")
    write_picture(
        path, [field_picture(seen[name][0], detector.detect(seen[name][0])) for name, detector in detectors().items()]
    )


def real_montage(path: Path) -> None:
    """Draw what is found in every twentieth real crop."""
    detector = detectors()["head-blob"]
    crops = [read_image(file).pixels[0] for file in sorted(CROPS.glob("*.jpg"))[::20]]
    write_picture(path, [sheet_picture([field_picture(one, detector.detect(one), 1.0) for one in crops])])


def main() -> None:
    """Print the tables, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the record here as well")
    parser.add_argument("--montage", type=Path, metavar="PATH", help="draw detections in a simulated field")
    parser.add_argument("--real-montage", type=Path, metavar="PATH", help="draw detections in real crops")
    parser.add_argument("--seed", type=int, default=404, help="of the simulation (default 404)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    load = os.getloadavg()[0]
    absent = "the real images (../shared/data) are not on this machine"
    found = {
        "benchmark": "detectors",
        "simulated": simulated(arguments.seed),
        "real_field": real_field() if FIELD.is_dir() else absent,
        "real_crops": real_crops() if CROPS.is_dir() else absent,
        "live": live(arguments.seed),
    }
    found |= circumstances(("numpy", "opencv-python-headless", "scikit-image"), load)
    print("\n".join(tables(found)))
    if arguments.json:
        write_text(arguments.json, json.dumps(found, indent=2) + "\n")
    if arguments.montage:
        montage(arguments.seed, arguments.montage)
    if arguments.real_montage:
        real_montage(arguments.real_montage)


if __name__ == "__main__":
    main()
