"""examples/in-silico-labeling: its parts do not overlap, and on the real field it beats a plain U-Net."""

from __future__ import annotations

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from vsframework.config import load_experiment
from vsframework.dataset.layouts import find_fields
from vsframework.dataset.planes import read_planes
from vsframework.images import read_image
from vsframework.inference import Stainer
from vsframework.pipeline import Run

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "in-silico-labeling"
REPORTED = {"DAPI": 0.61, "MAP2": 0.76, "NFH": 0.56}
"""Pearson of a plain U-Net on the test part, the best of its 400 steps in about twice the time; here its own run stayed
below that but for DAPI (benchmarks/results/in_silico_labeling.json)."""


def prepare(source: Path, out: Path, strip: int = 0) -> None:
    runpy.run_path(str(EXAMPLE / "prepare.py"))["prepare"](source, out, strip)


@pytest.mark.parametrize("strip", [0, 320])
def test_the_parts_are_apart_and_the_example_finds_them(tmp_path: Path, strip: int) -> None:
    columns = np.arange(1024, dtype=np.uint16)
    experiment = load_experiment(EXAMPLE / "experiment.toml")
    for plane, name in enumerate(experiment.data.planes):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.tile(columns + 1024 * plane, (8, 1)))
    for stain in experiment.data.stains:
        cv2.imwrite(str(tmp_path / f"fluorescence_{stain}.png"), np.tile(columns, (8, 1)))
    prepare(tmp_path, tmp_path / "fields", strip)
    fields = {field.donor: field for field in find_fields(experiment.data, tmp_path / "fields")}
    expected = {"left": (strip, 704), "right": (704, 1024)} | ({"strip": (0, strip)} if strip else {})
    assert set(fields) == set(expected)
    for donor, (first, end) in expected.items():
        planes, _ = read_planes(experiment.data, fields[donor].brightfield)
        assert planes[0, 0].tolist() == list(range(first, end))
        assert (planes[:, 0, 0] == first + 1024 * np.arange(13)).all()
        assert all(
            read_image(path).pixels[0, 0].tolist() == list(range(first, end)) for path in fields[donor].stains.values()
        )
    assert set(experiment.split.test_donors) == {"right"}


@pytest.mark.slow
@pytest.mark.realdata
def test_thirteen_planes_tell_three_stains_better_than_was_reported_of_a_plain_unet(
    real_data: Path, tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    """The example as it stands, about three minutes of one thread, on columns that are never trained on."""
    prepare(real_data / "in_silico_labeling", tmp_path / "fields")
    (tmp_path / "experiment.toml").write_text((EXAMPLE / "experiment.toml").read_text())
    run = Run(tmp_path / "experiment.toml", ("training.accelerator=cpu",))
    run.go(until="train", tell=lambda line: None)
    data = run.experiment.data
    right = next(field for field in find_fields(data, tmp_path / "fields") if field.donor == "right")
    planes, _ = read_planes(data, right.brightfield)
    virtual = Stainer.load(run.path).stain(planes[None])[0]
    true = [read_image(path).pixels[0] for path in right.stains.values()]
    pairs = zip(data.stains, virtual, true, strict=True)
    found = {name: float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) for name, one, other in pairs}
    record_property("pearson", found)
    assert all(found[stain] > REPORTED[stain] for stain in REPORTED), found
