"""A study on disk: donors, their fields, the truth, and an experiment file that reads it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from vsframework.atomic import atomic_path, write_text
from vsframework.config import DataSection, Experiment, Selection, SplitSection, write_experiment
from vsframework.errors import UsageError, VsfError
from vsframework.images import Image, write_ome_tiff
from vsframework.progress import track
from vsframework.simulation.fields import SimulatedField, simulate_field
from vsframework.simulation.fragmentation import Donor, draw_donor
from vsframework.simulation.options import SimulationOptions
from vsframework.simulation.truth import field_rows, summarise, write_truth_table

STUDY_VERSION = 1
"""Goes up whenever the same seed gives other pixels."""

PIXEL_SIZE_UM = 0.05
"""A head of 98 px is 4.9 µm long."""

_OPTIONS_FILE, _TRUTH_FILE, _PARTS_FOLDER = "simulation.json", "truth.json", ".truth"
_DONOR_STREAM, _SCENE_STREAM, _CAMERA_STREAM = range(3)


def simulate_study(out: Path, options: SimulationOptions) -> Path:
    """Do what :func:`vsframework.simulation.simulate` promises."""
    _claim(out, options)
    if (out / _TRUTH_FILE).exists():
        return out
    parts = out / _PARTS_FOLDER
    jobs = [(donor, field) for donor in range(options.donors) for field in range(options.fields)]
    for donor, field in track(jobs, "Simulating fields"):
        part = parts / f"{donor}-{field}.json"
        if not part.exists():
            rows = _write_field(out, draw_study_donor(options, donor), donor, field, options)
            write_text(part, json.dumps(rows))
    rows = [row for donor, field in jobs for row in json.loads((parts / f"{donor}-{field}.json").read_text("utf-8"))]
    write_truth_table(out / "truth.csv", rows)
    with atomic_path(out / "experiment.toml") as temporary:
        write_experiment(study_experiment(options), temporary)
    write_text(out / _TRUTH_FILE, json.dumps({**_identity(options), **summarise(rows)}, indent=2) + "\n")
    shutil.rmtree(parts)
    return out


def draw_study_donor(options: SimulationOptions, index: int) -> Donor:
    """Give donor `index` (from 0) of a study: the same for a seed, however many donors or fields there are."""
    return draw_donor(f"donor{index + 1}", _stream(options.seed, _DONOR_STREAM, index))


def simulate_study_field(options: SimulationOptions, donor: int, field: int) -> SimulatedField:
    """Simulate one field of a study in memory; `donor` and `field` count from 0."""
    return simulate_field(
        draw_study_donor(options, donor),
        options,
        scene=_stream(options.seed, _SCENE_STREAM, donor, field),
        camera=_stream(options.seed, _CAMERA_STREAM, donor, field),
    )


def study_experiment(options: SimulationOptions) -> Experiment:
    """Give the experiment that reads a study; donor 1 is held out, as in the paper, if there are others."""
    return Experiment(
        name="simulated",
        data=DataSection(root=".", pattern="{donor}/{field}_{channel}.tif", crops="{donor}/crops/{field}_{cell}.png"),
        split=SplitSection(test_donors=("donor1",) if options.donors > 1 else ()),
        alignment=Selection(name="phase-correlation") if options.displacement else None,
    )


def _stream(seed: int, *key: int) -> Generator:
    """Give random numbers that depend on `seed` and `key` only, never on what was drawn before."""
    return Generator(PCG64(SeedSequence(seed, spawn_key=key)))


def _identity(options: SimulationOptions) -> dict[str, Any]:
    return {"simulated": True, "study_version": STUDY_VERSION, "options": options.model_dump(mode="json")}


def _claim(out: Path, options: SimulationOptions) -> None:
    """Make `out` the folder of this study, or refuse."""
    record, ours = out / _OPTIONS_FILE, _identity(options)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: choose the name of a folder")
    if record.exists():
        try:
            theirs = json.loads(record.read_text(encoding="utf-8"))
            before = dict(theirs["options"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VsfError(f"{record} cannot be read: delete {out} or choose another folder") from error
        if theirs.get("study_version") != STUDY_VERSION:
            raise UsageError(f"{out} was simulated by another version of vsframework: choose another folder")
        changed = [
            f"{key} {before.get(key)}, not {value}"
            for key, value in ours["options"].items()
            if before.get(key) != value
        ]
        if changed:
            raise UsageError(
                f"{out} was simulated with {'; '.join(changed)}: choose another folder or the same options"
            )
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty and holds no simulated study: choose another folder")
    else:
        write_text(record, json.dumps(ours, indent=2) + "\n")


def _write_field(
    out: Path, donor: Donor, donor_index: int, field_index: int, options: SimulationOptions
) -> list[dict[str, Any]]:
    field = simulate_study_field(options, donor_index, field_index)
    name = f"field{field_index:03d}"
    folder = out / donor.name
    for channel, pixels in (("BF", field.brightfield), ("dsDNA", field.dsdna), ("ssDNA", field.ssdna)):
        image = Image(
            pixels=pixels[None], channels=(channel,), pixel_size_um=PIXEL_SIZE_UM, bit_depth=options.bit_depth
        )
        write_ome_tiff(folder / f"{name}_{channel}.tif", image)
    for index, crop in enumerate(field.crops):
        _write_png(folder / "crops" / f"{name}_cell{index:02d}.png", crop)
    return field_rows(donor.name, name, field)


def _write_png(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    encoded, data = cv2.imencode(".png", pixels)
    if not encoded:
        raise VsfError(f"{path} cannot be written as PNG")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
