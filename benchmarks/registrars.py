"""Every registrar on real pairs and on simulated ones: accepted, error, milliseconds.

``python benchmarks/registrars.py --json benchmarks/results/registrars.json`` writes the record, and with
``--page docs/registration.md`` its tables into the page; ``--record`` takes them from a record without measuring.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
import torch

from _record import circumstances
from vsf_plugins.registrars.acceptance import corners, transform
from vsframework.atomic import write_text
from vsframework.errors import VsfError
from vsframework.interfaces import Registrar
from vsframework.plugins import registry
from vsframework.simulation import SimulationOptions
from vsframework.simulation.geometry import displacement_matrix, invert
from vsframework.simulation.pairs import displace_stain
from vsframework.simulation.study import simulate_study_field

Floats = npt.NDArray[np.float64]
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
REGISTRARS: dict[str, tuple[str, dict[str, Any]]] = {
    "sift-ransac": ("sift-ransac", {}),
    "phase-correlation": ("phase-correlation", {}),
    "ecc": ("ecc", {}),
    "mutual-information": ("mutual-information", {}),
    "kornia": ("kornia", {}),
    "chain: sift-ransac, ecc": ("chain", {}),
    "chain: ecc, mutual-information": ("chain", {"coarse": "ecc", "fine": "mutual-information"}),
}


@dataclass(frozen=True)
class Pair:
    """Two real images; `true` is the matrix from moving to fixed pixels, or None where nobody knows it."""

    name: str
    moving: npt.NDArray[Any]
    fixed: npt.NDArray[Any]
    true: Floats | None
    belongs: bool = True


def real_pairs() -> Iterator[Pair]:
    """Give the real pairs of ../shared/data."""
    graf = [_read(REAL / f"vgg_graf/img{number}.png", cv2.IMREAD_GRAYSCALE) for number in range(1, 7)]
    for number in range(2, 7):
        yield Pair(f"graf 1-{number}", graf[0], graf[number - 1], np.loadtxt(REAL / f"vgg_graf/H1to{number}p"))
    field = REAL / "mccallum2019_field"
    brightfield = _read(field / "brightfield_composite.png", cv2.IMREAD_GRAYSCALE)
    green, red = (np.asarray(tifffile.imread(field / f"{name}0.tif", key=0))[..., 0] for name in ("Green", "Red"))
    crop = _read(field / "cells/img000_brightfield.jpg", cv2.IMREAD_GRAYSCALE)
    place = invert(np.loadtxt(field / "cells/img000_field_to_crop.txt"))
    yield Pair("sperm: crop in its field", crop, brightfield, place)
    yield Pair("sperm: green on brightfield", green, brightfield, None)
    yield Pair("sperm: red on green", red, green, None)
    yield Pair("sperm: mirrored green (false)", green[:, ::-1].copy(), brightfield, None, belongs=False)
    culture = REAL / "in_silico_labeling"
    phase = _read(culture / "phase_z06.png", cv2.IMREAD_UNCHANGED)
    dapi = _read(culture / "fluorescence_DAPI.png", cv2.IMREAD_UNCHANGED)
    yield Pair("culture: DAPI on phase", dapi, phase, None)
    yield Pair("culture: mirrored DAPI (false)", dapi[:, ::-1].copy(), phase, None, belongs=False)


def measure_real(registrar: Registrar, name: str) -> list[dict[str, Any]]:
    rows = []
    for pair in real_pairs():
        found, elapsed = _timed(registrar, pair.moving, pair.fixed)
        row: dict[str, Any] = {"registrar": name, "pair": pair.name, "belongs": pair.belongs}
        row |= {"accepted": found.accepted, "reason": found.reason, "ms": elapsed, "error_px": None}
        if found.accepted:
            row["shift_of_middle"] = _shift(found.matrix, pair.moving.shape)
            if pair.true is not None:
                row["error_px"] = _corner_error(found.matrix, pair.true, pair.moving.shape)
        rows.append(row)
    return rows


def measure_recovery(registrar: Registrar, name: str, displacements: int, seed: int = 5) -> dict[str, Any]:
    """Displace the real DAPI image by known similarities; compare with what is found without displacement.

    The microscope's own offset between the two is not known, and it is in both.
    """
    culture = REAL / "in_silico_labeling"
    phase = _read(culture / "phase_z06.png", cv2.IMREAD_UNCHANGED)
    dapi = _read(culture / "fluorescence_DAPI.png", cv2.IMREAD_UNCHANGED).astype(np.float32)
    unmoved, _ = _timed(registrar, dapi, phase)
    rng, errors = np.random.default_rng(seed), []
    translates = name == "phase-correlation"
    for _ in range(displacements):
        turn, scale = (0.0, 1.0) if translates else (np.radians(rng.uniform(-2, 2)), 1 + rng.uniform(-0.02, 0.02))
        shift = rng.uniform(-7, 7, 2)
        moved = displacement_matrix((511.5, 511.5), (float(shift[0]), float(shift[1])), float(turn), float(scale))
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(dapi, moved[:2], (1024, 1024), flags=flags, borderMode=cv2.BORDER_REFLECT)
        found, _ = _timed(registrar, image, phase)
        if found.accepted and unmoved.accepted:
            errors.append(_corner_error(found.matrix, unmoved.matrix @ moved, image.shape))
    return {
        "registrar": name,
        "displacements": displacements,
        "accepted": len(errors),
        "median_px": float(np.median(errors)) if errors else None,
        "worst_px": float(np.max(errors)) if errors else None,
    }


def measure_offset(registrar: Registrar, name: str) -> dict[str, Any]:
    """Offset of green from brightfield around each of the four cells, and its spread over three sizes of window."""
    field = REAL / "mccallum2019_field"
    brightfield = _read(field / "brightfield_composite.png", cv2.IMREAD_GRAYSCALE)
    green = np.asarray(tifffile.imread(field / "Green0.tif", key=0))[..., 0]
    cells = []
    for cell in range(4):
        place = invert(np.loadtxt(field / f"cells/img{cell:03d}_field_to_crop.txt"))
        x, y = (int(value) for value in transform(place, np.array([[74.5, 74.5]]))[0])
        offsets = []
        for half in (80, 100, 120):
            rows = slice(max(0, y - half), y + half)
            columns = slice(max(0, x - half), x + half)
            found = registrar.register(green[rows, columns], brightfield[rows, columns])
            if found.accepted:
                offsets.append(_shift(found.matrix, green[rows, columns].shape))
        cells.append(
            {
                "cell": cell,
                "accepted": len(offsets),
                "offset_px": np.mean(offsets, axis=0).tolist() if offsets else None,
                "spread_px": np.std(offsets, axis=0).tolist() if len(offsets) > 1 else None,
            }
        )
    return {"registrar": name, "windows": 3, "cells": cells}


def measure_simulated(registrar: Registrar, name: str, pairs: int, seed: int = 8) -> dict[str, Any]:
    """Simulated brightfield and dsDNA, 1280x720: true pairs, and as many of two fields."""
    options = SimulationOptions(width=1280, height=720, displacement=0, seed=31)
    fields = [simulate_study_field(options, index % 6, index // 6) for index in range(min(pairs, 12))]
    rng, errors, at_corners, times, false = np.random.default_rng(seed), [], [], [], 0
    turn, scale = (0.0, 0.0) if name == "phase-correlation" else (2.0, 0.02)
    for index in range(pairs):
        field, other = fields[index % len(fields)], fields[(index + 1) % len(fields)]
        stain = displace_stain(field, rng, max_turn=turn, max_scale=scale)
        found, elapsed = _timed(registrar, stain.stain, field.brightfield)
        times.append(elapsed)
        if found.accepted:
            heads = np.array([[cell.x, cell.y] for cell in field.cells])
            back = transform(found.matrix, transform(invert(stain.matrix), heads))
            errors.append(float(np.linalg.norm(back - heads, axis=1).mean()))
            at_corners.append(_corner_error(found.matrix, stain.matrix, stain.stain.shape))
        false += registrar.register(stain.stain, other.brightfield).accepted
    figures = {
        key: float(np.percentile(values, percent)) if values else None
        for key, values, percent in (
            ("median_px", errors, 50),
            ("p95_px", errors, 95),
            ("corner_median_px", at_corners, 50),
            ("corner_p95_px", at_corners, 95),
            ("ms", times, 50),
        )
    }
    return {"registrar": name, "pairs": pairs, "accepted": len(errors), "false_accepted": false, **figures}


def tables(record: dict[str, Any]) -> dict[str, list[str]]:
    """Write the tables of docs/registration.md."""
    names = list(dict.fromkeys(row["registrar"] for row in record["real"]))
    pairs = list(dict.fromkeys(row["pair"] for row in record["real"]))
    cells = {(row["registrar"], row["pair"]): row for row in record["real"]}
    real = ["| pair | " + " | ".join(f"`{name}`" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    real += [f"| {pair} | " + " | ".join(_cell(cells[name, pair]) for name in names) + " |" for pair in pairs]
    simulated = [
        "| registrar | accepted | median | 95 % | corners, median | corners, 95 % | false accepted | ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["simulated"]:
        values = (row[key] for key in ("median_px", "p95_px", "corner_median_px", "corner_p95_px"))
        simulated.append(
            f"| `{row['registrar']}` | {row['accepted']} of {row['pairs']} | "
            + " | ".join(_px(value) for value in values)
            + f" | {row['false_accepted']} of {row['pairs']} | {row['ms']:.0f} |"
        )
    recovery = ["| registrar | accepted | median | worst |", "|---|---|---|---|"]
    for row in record["recovery"]:
        count = f"{row['accepted']} of {row['displacements']}"
        recovery.append(f"| `{row['registrar']}` | {count} | {_px(row['median_px'])} | {_px(row['worst_px'])} |")
    offset = [
        "| registrar | cell 0 | cell 1 | cell 2 | cell 3 |",
        "|---|---|---|---|---|",
        *(
            f"| `{row['registrar']}` | " + " | ".join(_offset(cell) for cell in row["cells"]) + " |"
            for row in record["offset"]
        ),
    ]
    return {"real": real, "simulated": simulated, "recovery": recovery, "offset": offset}


def _cell(row: dict[str, Any]) -> str:
    if not row["accepted"]:
        return f"refused, {row['ms']:.0f} ms"
    if row["error_px"] is not None:
        return f"{row['error_px']:.2f} px, {row['ms']:.0f} ms"
    x, y = row["shift_of_middle"]
    return f"({x:.1f}, {y:.1f}), {row['ms']:.0f} ms"


def _offset(cell: dict[str, Any]) -> str:
    if cell["offset_px"] is None:
        return "refused"
    x, y = cell["offset_px"]
    spread = "" if cell["spread_px"] is None else f" ± {max(cell['spread_px']):.1f}"
    return f"({x:.1f}, {y:.1f}){spread}"


def _px(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _shift(matrix: Floats, shape: tuple[int, ...]) -> list[float]:
    middle = np.array([[(shape[1] - 1) / 2, (shape[0] - 1) / 2]])
    return [float(value) for value in (transform(matrix, middle) - middle)[0]]


def _corner_error(found: Floats, true: Floats, shape: tuple[int, ...]) -> float:
    outline = corners((shape[0], shape[1]))
    return float(np.linalg.norm(transform(found, outline) - transform(true, outline), axis=1).mean())


def _timed(registrar: Registrar, moving: npt.NDArray[Any], fixed: npt.NDArray[Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    found = registrar.register(moving, fixed)
    return found, 1e3 * (time.perf_counter() - begin)


def _read(path: Path, flags: int) -> npt.NDArray[Any]:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise VsfError(f"{path} cannot be read; see shared/data/INDEX.md")
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--pairs", type=int, default=24, help="simulated pairs per registrar (default 24)")
    parser.add_argument("--displacements", type=int, default=5, help="of the real DAPI image (default 5)")
    parser.add_argument("--page", type=Path, help="put the tables between the marks <!-- NAME --> of this page")
    parser.add_argument("--record", type=Path, help="measure nothing: take the tables of this record")
    arguments = parser.parse_args()
    if arguments.record:
        _show(json.loads(arguments.record.read_text(encoding="utf-8")), arguments.page)
        return
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    result: dict[str, list[Any]] = {"simulated": [], "real": [], "recovery": [], "offset": []}
    for name, (component, params) in REGISTRARS.items():
        registrar = registry().create("registrar", component, params)
        if name != "sift-ransac":
            result["offset"].append(measure_offset(registrar, name))
        result["real"] += measure_real(registrar, name)
        result["recovery"].append(measure_recovery(registrar, name, arguments.displacements))
        result["simulated"].append(measure_simulated(registrar, name, arguments.pairs))
        print(name, flush=True)
    record = {
        "benchmark": "registrars",
        **circumstances(("numpy", "opencv-python-headless", "torch", "kornia", "simpleitk"), load),
        **result,
    }
    if arguments.json:
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")
    _show(record, arguments.page)


def _show(record: dict[str, Any], page: Path | None) -> None:
    for name, lines in tables(record).items():
        print(f"{name}\n" + "\n".join(lines) + "\n")
        if page:
            before, mark, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
            after = rest.partition(f"<!-- end of {name} -->")[2]
            write_text(page, f"{before}{mark}\n" + "\n".join(lines) + f"\n\n<!-- end of {name} -->{after}")


if __name__ == "__main__":
    main()
