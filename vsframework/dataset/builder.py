"""Raw fields to a dataset: every field by itself, on as many workers as there are, then put together in order."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import vsframework
from vsframework.config import Experiment
from vsframework.dataset.field import FieldPatches, Steps, patches_of_field
from vsframework.dataset.layouts import FieldFiles, find_fields
from vsframework.dataset.parts import Parts, part_key
from vsframework.dataset.pixel_sizes import StudyPixels
from vsframework.dataset.store import PatchDataset, PatchWriter
from vsframework.fanout import HERE, LostWorkerError, Workers, fan_out
from vsframework.plugins import registry
from vsframework.progress import track

SIMULATION_MARK = "truth.json"
"""A raw folder with this file was simulated; every report says so."""
KINDS = ("registrar", "alignment", "detector", "denoiser", "quantifier")
"""The components that make a dataset, as the sections of the experiment that name them."""


def build_dataset(
    experiment: Experiment,
    folder: Path,
    out: Path,
    extra: Mapping[str, Any] | None = None,
    workers: Workers = HERE,
) -> PatchDataset:
    """Build the dataset of `experiment` into the folder `out`.

    Every field becomes a part on disk (`vsframework.dataset.parts`); a build that was stopped, or whose workers died,
    goes on from them. The dataset is the same, byte for byte, whoever built it and however often it was stopped.

    Parameters
    ----------
    experiment
        Says where the fields are and which components to use.
    folder
        Where the experiment file lies: ``data.root`` is relative to it.
    out
        Folder of the dataset; an older one is replaced only when the new one is complete.
    extra
        Further entries for ``dataset.json``.
    workers
        Who does the work.

    Raises
    ------
    UsageError
        No field found, unknown component, wrong parameters.
    VsfError
        Not one cell accepted, or the disk is full.
    """
    root = (folder / experiment.data.root).absolute()  # a worker may be somewhere else
    out = out.absolute()
    fields = find_fields(experiment.data, root)
    steps = Steps.of(experiment)  # what is wrong with them is said before any work is done
    components = {kind: component_record(kind, name) for kind, name in _chosen(experiment).items()}
    tables = experiment.tables()
    sections = {name: tables.get(name) for name in ("data", "patches", *KINDS)}
    shared = {"sections": sections, "components": components, "vsframework": vsframework.__version__}
    parts = Parts(out)
    data, size = experiment.data, experiment.patches.size
    with PatchWriter(out, stains=data.stains, size=size, planes=data.planes) as writer:
        keys = [part_key(files, root, shared) for files in fields]
        parts.forget_failures()
        _make_parts(_Build(experiment, root, out), parts, fields, keys, workers)
        bit_depth, pixels = _assemble(writer, parts, fields, keys)
        info = {
            "simulated": (root / SIMULATION_MARK).exists(),
            "fields": len(fields),
            "components": components,
            "experiment": tables,
            **pixels.record(),
            "vsframework": vsframework.__version__,
            "python": platform.python_version(),
            **(extra or {}),
        }
        dataset = writer.finish(info, steps.quantifier.quantities, bit_depth)
    parts.remove()
    return dataset


@dataclass(frozen=True)
class _Build:
    """What every worker needs to know."""

    experiment: Experiment
    root: Path
    out: Path


def _make_parts(
    build: _Build, parts: Parts, fields: Sequence[FieldFiles], keys: Sequence[str], workers: Workers
) -> None:
    """Have every field's part made that is not there yet."""
    missing = [(files, key) for files, key in zip(fields, keys, strict=True) if not parts.there(key)]
    for outcome in fan_out(partial(_make_part, build), missing, workers, "Building the dataset"):
        if isinstance(outcome.error, LostWorkerError):
            parts.write(missing[outcome.index][1], FieldPatches(failed=outcome.reason))
        elif outcome.error is not None:  # a bad field is a part: this is the disk, or a fault of ours
            raise outcome.error


def _make_part(build: _Build, item: tuple[FieldFiles, str]) -> None:
    """Do one field; this runs on a worker."""
    files, key = item
    parts = Parts(build.out)
    if not parts.there(key):  # else a worker made it that died before it could say so
        steps = Steps.of(build.experiment)  # a millisecond
        parts.write(key, patches_of_field(files, build.experiment, steps, build.root))


# ------------------------------------------------------------------------------------------------- assembling


def _assemble(
    writer: PatchWriter, parts: Parts, fields: Sequence[FieldFiles], keys: Sequence[str]
) -> tuple[int, StudyPixels]:
    """Put the parts together in the order of the fields; give the bit depth and pixel size of their images."""
    bit_depth, pixels = 0, StudyPixels()
    for files, key in track(zip(fields, keys, strict=True), "Putting it together", len(fields)):
        part = parts.read(key)
        failed = part.failed
        if not failed and bit_depth and part.bit_depth != bit_depth:
            failed = f"its images have {part.bit_depth} bits, those of the first field {bit_depth}"
        failed = failed or pixels.add(files.id, part.pixel_sizes)
        if failed:
            writer.add({"id": files.id, "donor": files.donor, "field": files.name, "reason": failed}, None)
            continue
        bit_depth = part.bit_depth
        writer.add_files(part.hashes)
        for row, patch in part.cells:
            writer.add(row, patch)
    return bit_depth, pixels


# ------------------------------------------------------------------------------------------------ provenance


def _chosen(experiment: Experiment) -> dict[str, str]:
    return {kind: getattr(experiment, kind).name for kind in KINDS if getattr(experiment, kind)}


def component_record(kind: str, name: str) -> dict[str, str]:
    """Say which plugin, distribution and version a component comes from."""
    entry = registry().find("registrar" if kind == "alignment" else kind, name)
    return {
        "name": entry.component.name,
        "plugin": entry.plugin.name,
        "distribution": entry.plugin.distribution,
        "version": entry.plugin.version,
    }
