"""Localising a patch in its prepared field: how long, how exact, and against scikit-image on the same pairs.

``python benchmarks/registration.py --json benchmarks/results/registration.json``
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import skimage.feature
import skimage.measure
import skimage.transform

from _record import circumstances
from vsf_plugins.registrars.acceptance import corners, transform
from vsf_plugins.registrars.phase_correlation import PhaseCorrelation, PhaseCorrelationParams
from vsf_plugins.registrars.sift_ransac import Described, SiftRansac, SiftRansacParams
from vsframework.atomic import write_text
from vsframework.simulation import SimulationOptions
from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.study import simulate_study_field

# scikit-image is typed in part only
FEATURE: Any = skimage.feature
MEASURE: Any = skimage.measure
Floats = npt.NDArray[np.float64]
TARGET_MS = 15.0


class ScikitImage:
    """The same recipe with scikit-image: SIFT, ratio test, RANSAC similarity; no checks, no refinement."""

    def prepare(self, image: npt.NDArray[Any]) -> tuple[Floats, npt.NDArray[Any]]:
        """Describe `image` [H, W]: points (x, y) and descriptors."""
        sift = FEATURE.SIFT()
        sift.detect_and_extract(image)
        return np.asarray(sift.keypoints[:, ::-1], dtype=np.float64), sift.descriptors

    def register(self, patch: npt.NDArray[Any], field: tuple[Floats, npt.NDArray[Any]]) -> Floats | None:
        """Give the 3x3 matrix, or None."""
        points, descriptors = self.prepare(patch)
        matches = FEATURE.match_descriptors(descriptors, field[1], max_ratio=0.75, cross_check=False)
        if len(matches) < 4:
            return None
        pairs = (points[matches[:, 0]], field[0][matches[:, 1]])
        kind = skimage.transform.SimilarityTransform
        model, _ = MEASURE.ransac(pairs, kind, min_samples=3, residual_threshold=3, max_trials=500, rng=0)
        return np.asarray(model.params, dtype=np.float64) if model else None


def timed(action: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """Give the result, and the milliseconds that it took: on the clock, and of this process's processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    result = action(*arguments)
    return result, 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor)


def corner_error(found: Floats, true: Floats, shape: tuple[int, ...]) -> float:
    outline = corners((shape[0], shape[1]))
    return float(np.linalg.norm(transform(found, outline) - transform(true, outline), axis=1).mean())


def recipe(ours: SiftRansac, patch: npt.NDArray[Any], field: Described) -> None:
    """Do what scikit-image is asked to do, without the checks and the refinement that come after it."""
    source, target = ours._match(ours._describe(patch, index=False), field)
    ours._estimate(source, target)


def measure(fields: list[SimulatedField], repeats: int) -> dict[str, float]:
    """Time both on all pairs of `fields`, in turns so that a busy machine slows both."""
    ours, theirs = SiftRansac(SiftRansacParams()), ScikitImage()
    times: dict[str, list[float]] = defaultdict(list)
    errors: dict[str, list[float]] = defaultdict(list)
    pairs = 0
    for field in fields:
        prepared, elapsed, _ = timed(ours.prepare, field.brightfield)
        times["prepare"].append(elapsed)
        their_field, elapsed, _ = timed(theirs.prepare, field.brightfield)
        times["skimage_prepare"].append(elapsed)
        for crop, cell in zip(field.crops, field.cells, strict=True):
            pairs += 1
            true = np.linalg.inv(np.asarray(cell.crop, dtype=np.float64))
            for _ in range(repeats):
                result, elapsed, processor = timed(ours.register, crop, prepared)
                times["patch"].append(elapsed)
                times["patch_processor"].append(processor)
                times["recipe"].append(timed(recipe, ours, crop, prepared)[1])
            matrix, elapsed, _ = timed(theirs.register, crop, their_field)
            times["skimage_patch"].append(elapsed)
            if result.accepted:
                errors["ours"].append(corner_error(result.matrix, true, crop.shape))
            if matrix is not None:
                errors["skimage"].append(corner_error(matrix, true, crop.shape))
    aligner = PhaseCorrelation(PhaseCorrelationParams())
    for field in fields:
        target = aligner.prepare(field.brightfield)
        result, elapsed, _ = timed(aligner.register, field.dsdna, target)
        times["alignment"].append(elapsed)
        centres = np.array([[cell.x, cell.y] for cell in field.cells])
        if result.accepted:
            moved = transform(result.matrix @ np.asarray(field.to_dsdna), centres)
            errors["alignment"].append(float(np.linalg.norm(moved - centres, axis=1).mean()))
    median = {name: float(np.median(values)) for name, values in times.items()}
    whole = len(fields) * median["prepare"] + pairs * median["patch"]
    their_whole = len(fields) * median["skimage_prepare"] + pairs * median["skimage_patch"]
    return {
        "pairs": pairs,
        "prepare_ms": median["prepare"],
        "patch_ms": median["patch"],
        "patch_p95_ms": float(np.percentile(times["patch"], 95)),
        "patch_fastest_ms": min(times["patch"]),
        "patch_processor_ms": median["patch_processor"],
        "refused": pairs - len(errors["ours"]),
        "corner_error_px": float(np.median(errors["ours"])),
        "corner_error_max_px": float(np.max(errors["ours"])),
        "skimage_prepare_ms": median["skimage_prepare"],
        "skimage_patch_ms": median["skimage_patch"],
        "skimage_failed": pairs - len(errors["skimage"]),
        "skimage_corner_error_px": float(np.median(errors["skimage"])),
        "ratio_prepare": median["skimage_prepare"] / median["prepare"],
        "ratio_patch": median["skimage_patch"] / median["patch"],
        "ratio_all": their_whole / whole,
        "recipe_ms": median["recipe"],
        "ratio_recipe": median["skimage_patch"] / median["recipe"],
        "alignment_ms": median["alignment"],
        "alignment_refused": len(fields) - len(errors["alignment"]),
        "alignment_error_px": float(np.median(errors["alignment"])) if errors["alignment"] else float("nan"),
        "target_patch_ms": TARGET_MS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--fields", type=int, default=2, help="simulated 1920x1080 fields (default 2)")
    parser.add_argument("--repeats", type=int, default=5, help="times that each patch is localised (default 5)")
    parser.add_argument("--threads", type=int, default=1, help="threads of OpenCV (default 1)")
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    options = SimulationOptions.model_validate({"seed": 11})
    fields = [simulate_study_field(options, 0, index) for index in range(arguments.fields)]
    measure(fields[:1], 1)  # warm up
    load = os.getloadavg()[0]
    result = measure(fields, arguments.repeats)
    for name, value in result.items():
        print(f"{name:28} {value:10.3f}")
    print(f"localising a patch: {result['patch_ms']:.1f} ms, target {TARGET_MS:g} ms (load {os.getloadavg()[0]:.1f})")
    if arguments.json:
        record = {
            "benchmark": "registration",
            **circumstances(("numpy", "opencv-python-headless", "scikit-image"), load),
            "result": result,
        }
        write_text(arguments.json, json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
