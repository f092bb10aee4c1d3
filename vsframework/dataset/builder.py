"""Raw fields to a dataset: localise or detect, align, cut, denoise, measure (the paper's Fig. 2 a to c)."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import vsframework
from vsframework.config import DataSection, Experiment
from vsframework.dataset.cells import LocatedCell, detect_cells, localise_crops, single_plane
from vsframework.dataset.geometry import Matrix, centre_and_angle, cut_all
from vsframework.dataset.layouts import FieldFiles, find_fields
from vsframework.dataset.planes import middle_plane, read_planes
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.errors import VsfError
from vsframework.images import read_image
from vsframework.interfaces import Denoised, Denoiser, Detector, ImageArray, Quantifier, Registrar, Registration
from vsframework.plugins import registry
from vsframework.progress import track

MATRIX_COLUMNS = [f"m{row}{column}" for row in range(3) for column in range(3)]
SIMULATION_MARK = "truth.json"
"""A raw folder with this file was simulated; every report says so."""


@dataclass(frozen=True)
class Steps:
    """The components that turn a field into patches, built from the experiment."""

    registrar: Registrar
    alignment: Registrar | None
    detector: Detector
    denoiser: Denoiser
    quantifier: Quantifier

    @classmethod
    def of(cls, experiment: Experiment) -> Steps:
        """Build the components that `experiment` names."""
        create = registry().create
        align = experiment.alignment
        return cls(
            registrar=create("registrar", experiment.registrar.name, experiment.registrar.params),
            alignment=create("registrar", align.name, align.params) if align else None,
            detector=create("detector", experiment.detector.name, experiment.detector.params),
            denoiser=create("denoiser", experiment.denoiser.name, experiment.denoiser.params),
            quantifier=create("quantifier", experiment.quantifier.name, experiment.quantifier.params),
        )


@dataclass
class _LoadedField:
    """The images of one field, brightfield [P, H, W], and where each stain lies relative to it."""

    brightfield: ImageArray
    stains: list[ImageArray]
    to_brightfield: Matrix
    bit_depth: int
    pixel_size_um: float | None = None
    hashes: dict[str, str] = field(default_factory=dict)


def build_dataset(
    experiment: Experiment, folder: Path, out: Path, extra: Mapping[str, Any] | None = None
) -> PatchDataset:
    """Build the dataset of `experiment` into the folder `out`.

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

    Raises
    ------
    UsageError
        No field found, unknown component, wrong parameters.
    VsfError
        Not one cell accepted, or the disk is full.
    """
    root = folder / experiment.data.root
    fields = find_fields(experiment.data, root)
    steps = Steps.of(experiment)
    stains = experiment.data.stains
    bit_depth = 0
    pixel_sizes: set[float | None] = set()
    files: dict[str, str] = {}
    with PatchWriter(out, stains=stains, size=experiment.patches.size, planes=experiment.data.planes) as writer:
        for files_of_field in track(fields, "Building the dataset"):
            try:
                loaded = _load(files_of_field, experiment.data, steps, root)
                if bit_depth and loaded.bit_depth != bit_depth:
                    raise VsfError(f"its images have {loaded.bit_depth} bits, those of the first field {bit_depth}")
                rows = list(_cells(files_of_field, loaded, steps, experiment))
            except VsfError as error:
                writer.add(_rejected(files_of_field, str(error)), None)
                continue
            except Exception as error:  # one bad field or plugin must not take the rest down
                reason = f"failed with {type(error).__name__}: {' '.join(str(error).split())}"
                writer.add(_rejected(files_of_field, reason), None)
                continue
            bit_depth = loaded.bit_depth
            pixel_sizes.add(loaded.pixel_size_um)
            files.update(loaded.hashes)
            for row, patch in rows:
                writer.add(row, patch)
        # known only where every field says the same
        size = {"pixel_size_um": pixel_sizes.pop() if len(pixel_sizes) == 1 else None}
        info = {**_provenance(experiment, root, len(fields), files), **size, **(extra or {})}
        return writer.finish(info, steps.quantifier.quantities, bit_depth)


# ------------------------------------------------------------------------------------------------- one field


def _load(files: FieldFiles, data: DataSection, steps: Steps, root: Path) -> _LoadedField:
    planes, plane_images = read_planes(data, files.brightfield)
    missing = [stain for stain in data.stains if stain not in files.stains]
    if missing:
        raise VsfError(f"there is no file for {' and '.join(missing)}")
    stain_images = [read_image(path) for path in files.stains.values()]
    stains = [single_plane(image, path.name) for image, path in zip(stain_images, files.stains.values(), strict=True)]
    depths = {image.bit_depth for image in (*plane_images, *stain_images)}
    if len(depths) > 1:
        raise VsfError(f"its channels have different bit depths ({', '.join(map(str, sorted(depths)))})")
    if len({stain.shape for stain in stains}) > 1:
        raise VsfError("its fluorescence images have different sizes")
    to_brightfield = np.eye(3)
    if steps.alignment is not None:
        seen = planes[middle_plane(len(planes))]
        aligned = steps.alignment.register(stains[0], steps.alignment.prepare(seen))
        if not aligned.accepted:
            raise VsfError(f"fluorescence not aligned to brightfield: {aligned.reason}")
        to_brightfield = aligned.matrix
    elif planes[0].shape != stains[0].shape:
        raise VsfError(
            f"brightfield is {_shape(planes[0])} and fluorescence {_shape(stains[0])}; name an [alignment] registrar"
        )
    return _LoadedField(
        brightfield=planes,
        stains=stains,
        to_brightfield=to_brightfield,
        bit_depth=depths.pop(),
        pixel_size_um=plane_images[0].pixel_size_um,
        hashes={path.relative_to(root).as_posix(): _sha256(path) for path in files.files},
    )


def _cells(
    files: FieldFiles, loaded: _LoadedField, steps: Steps, experiment: Experiment
) -> Iterator[tuple[dict[str, Any], Patch | None]]:
    size = experiment.patches.size
    if files.crops:
        located = localise_crops(files, loaded.brightfield, steps.registrar, size)
    elif experiment.data.crops:
        return
    else:
        located = detect_cells(loaded.brightfield, steps.detector, experiment.patches.field_px, size)
    for cell in located:
        row = _row(files, cell, loaded)
        if cell.reason or cell.matrix is None or cell.brightfield is None:
            yield row, None
            continue
        try:
            raw = cut_all(loaded.stains, cell.matrix @ loaded.to_brightfield, cell.crop, size)
            denoised = steps.denoiser.denoise(raw)
            for stain, level in zip(experiment.data.stains, denoised.background, strict=True):
                row[f"background_{stain}"] = float(level)
            row |= _measure(denoised, steps.quantifier, experiment.data.stains)
        except VsfError as error:
            yield {**row, "reason": str(error)}, None
            continue
        yield row, Patch(brightfield=cell.brightfield, raw=raw, denoised=denoised.stains)


def _measure(denoised: Denoised, quantifier: Quantifier, stains: Sequence[str]) -> dict[str, float]:
    """Measure one cell; without any signal there is nothing to measure."""
    if not denoised.stains.any():
        raise VsfError("no fluorescence is left after denoising")
    measured = quantifier.measure(denoised.stains.astype(np.float64), stains)
    values = {name: float(np.asarray(value)) for name, value in measured.items()}
    undefined = [name for name, value in values.items() if not np.isfinite(value)]
    if undefined:
        raise VsfError(f"{', '.join(undefined)} cannot be measured on its fluorescence")
    return values


def _row(files: FieldFiles, cell: LocatedCell, loaded: _LoadedField) -> dict[str, Any]:
    x = y = angle = float("nan")
    matrix = np.full(9, np.nan)
    if cell.matrix is not None:
        x, y, angle = centre_and_angle(cell.matrix, cell.crop)
        matrix = (cell.matrix / cell.matrix[2, 2]).ravel()
    found = cell.registration or Registration(matrix=np.eye(3), model="", accepted=True, reason="")
    aligned = loaded.to_brightfield
    return {
        "id": f"{files.id}/{cell.name}",
        "donor": files.donor,
        "field": files.name,
        "reason": cell.reason,
        "x": x,
        "y": y,
        "angle": angle,
        **dict(zip(MATRIX_COLUMNS, matrix.tolist(), strict=True)),
        "matches": found.matches,
        "inliers": found.inliers,
        "residual_px": found.residual_px,
        "similarity": found.similarity,
        "stain_dx": float(aligned[0, 2]),
        "stain_dy": float(aligned[1, 2]),
    }


def _rejected(files: FieldFiles, reason: str) -> dict[str, Any]:
    """Make the row of a field that could not be used at all."""
    return {"id": files.id, "donor": files.donor, "field": files.name, "reason": reason}


# ------------------------------------------------------------------------------------------------ provenance


def _provenance(experiment: Experiment, root: Path, fields: int, files: Mapping[str, str]) -> dict[str, Any]:
    chosen = {
        kind: getattr(experiment, kind)
        for kind in ("registrar", "alignment", "detector", "denoiser", "quantifier")
        if getattr(experiment, kind)
    }
    return {
        "simulated": (root / SIMULATION_MARK).exists(),
        "fields": fields,
        "components": {kind: component_record(kind, selection.name) for kind, selection in chosen.items()},
        "experiment": experiment.tables(),
        "files": dict(sorted(files.items())),
        "vsframework": vsframework.__version__,
        "python": platform.python_version(),
    }


def component_record(kind: str, name: str) -> dict[str, str]:
    """Say which plugin, distribution and version a component comes from."""
    entry = registry().find("registrar" if kind == "alignment" else kind, name)
    return {
        "name": entry.component.name,
        "plugin": entry.plugin.name,
        "distribution": entry.plugin.distribution,
        "version": entry.plugin.version,
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shape(image: ImageArray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
