"""One raw field to its patches: localise or detect, align, cut, denoise, measure (the paper's Fig. 2 a to c)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vsframework.config import DataSection, Experiment
from vsframework.dataset.cells import LocatedCell, detect_cells, localise_crops
from vsframework.dataset.geometry import Matrix, centre_and_angle, cut_all
from vsframework.dataset.layouts import FieldFiles
from vsframework.dataset.pixel_sizes import PixelSizes, to_one_size
from vsframework.dataset.planes import middle_plane, read_planes, read_stains
from vsframework.dataset.store import Patch
from vsframework.errors import VsfError
from vsframework.fanout import explain
from vsframework.images import contents_hash
from vsframework.interfaces import Denoised, Denoiser, Detector, ImageArray, Quantifier, Registrar, Registration
from vsframework.plugins import registry

MATRIX_COLUMNS = [f"m{row}{column}" for row in range(3) for column in range(3)]


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


@dataclass(frozen=True, kw_only=True)
class FieldPatches:
    """What one field gives to a dataset.

    Attributes
    ----------
    cells
        A row of the table per cell, with its pixels where it is accepted.
    bit_depth
        Of its images; 0 where the field was not read.
    pixel_sizes
        Of its images.
    hashes
        sha256 of its files by their path below the raw folder.
    failed
        Why nothing of it can be used; empty if it can.
    """

    cells: Sequence[tuple[Mapping[str, Any], Patch | None]] = ()
    bit_depth: int = 0
    pixel_sizes: PixelSizes = field(default_factory=PixelSizes)
    hashes: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""


def patches_of_field(files: FieldFiles, experiment: Experiment, steps: Steps, root: Path) -> FieldPatches:
    """Turn one field into patches: a function of its files and the experiment, and of no other field.

    Parameters
    ----------
    files
        Where its images are.
    steps
        The components of `experiment`.
    root
        The raw folder.

    A bad field is a result too, with the reason in `failed`; nothing is raised.
    """
    try:
        loaded = _load(files, experiment.data, steps, root)
        cells = list(_cells(files, loaded, steps, experiment))
    except Exception as error:  # one bad field or plugin must not take the rest down
        return FieldPatches(failed=_below(root, explain(error)))
    for row, _ in cells:
        row["reason"] = _below(root, row["reason"])
    return FieldPatches(cells=cells, bit_depth=loaded.bit_depth, pixel_sizes=loaded.pixel_sizes, hashes=loaded.hashes)


@dataclass
class _LoadedField:
    """The images of one field, brightfield [P, H, W], and where each stain lies relative to it."""

    brightfield: ImageArray
    stains: list[ImageArray]
    to_brightfield: Matrix
    bit_depth: int
    pixel_sizes: PixelSizes
    hashes: dict[str, str] = field(default_factory=dict)


def _below(root: Path, reason: str) -> str:
    """Name files by their place in the raw folder: a dataset does not depend on where that lies."""
    return reason.replace(f"{root}{os.sep}", "")


def _load(files: FieldFiles, data: DataSection, steps: Steps, root: Path) -> _LoadedField:
    planes, plane_images = read_planes(data, files.brightfield, files.within)
    stain_images = read_stains(data, files)
    planes, stains, pixel_sizes = to_one_size(data, planes, plane_images, stain_images)
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
        pixel_sizes=pixel_sizes,
        hashes={path.relative_to(root).as_posix(): contents_hash(path) for path in files.files},
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


def _shape(image: ImageArray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
