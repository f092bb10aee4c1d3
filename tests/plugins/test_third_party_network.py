"""Somebody else's plain torch module, installed with pip, reaches the edge with nothing but its entry point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tomli_w

PLANES, STAINS = ("z0", "z1", "z2"), ("DAPI", "MAP2", "NFH")
EXPERIMENT = {
    "data": {"root": "fields", "brightfield": list(PLANES), "stains": list(STAINS)},
    "patches": {"size": 32, "field_px": 32},
    "split": {"test_donors": ["right"]},
    "detector": {"name": "grid", "size": 32, "step": 32},
    "denoiser": {"name": "none"},
    "quantifier": {"name": "intensity", "stains": list(STAINS)},
    "generator": {"name": "lab-network"},
    "training": {"models": "joint", "epochs": 1, "batch_size": 4, "accelerator": "cpu"},
    "objective": {"lambda_gan": 0.0},
    "baseline": {"regressor": False},
}


def write_study(folder: Path) -> Path:
    """Two donors with a field each: three planes, three stains that are blurred planes."""
    random = np.random.default_rng(4)
    for donor in ("left", "right"):
        place = folder / "fields" / donor
        place.mkdir(parents=True)
        for plane, stain in zip(PLANES, STAINS, strict=True):
            image = cv2.GaussianBlur(random.uniform(0, 255, (96, 96)), (0, 0), 2)
            image = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
            cv2.imwrite(str(place / f"field0_{plane}.tif"), image)
            cv2.imwrite(str(place / f"field0_{stain}.tif"), 255 - image)
    (folder / "experiment.toml").write_text(tomli_w.dumps(EXPERIMENT), encoding="utf-8")
    return folder / "experiment.toml"


def test_three_planes_and_three_stains_are_trained_exported_and_checked(lab: Any, tmp_path: Path) -> None:
    experiment = write_study(tmp_path)
    for arguments in (("run", experiment), ("export", tmp_path / "run", "--target", "onnx", "-o", tmp_path / "m.vsf")):
        done = lab.vsf(*arguments)
        assert done.returncode == 0, done.stderr
    edge = "from vsf_edge.cli import main; main()"
    checked = lab.run("-c", edge, "inspect", tmp_path / "m.vsf", "--check", "--json")
    assert checked.returncode == 0, checked.stderr
    manifest = json.loads(checked.stdout)
    text = json.dumps(manifest)
    assert "lab-network" in text
    assert "0.3.0" in text
    assert all(stain in text for stain in STAINS)
