"""Where the cells of a field are: localised from their brightfield crops (the paper), or detected in the field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vsframework.dataset.geometry import Matrix, cut_all, resize, share_outside, upright_matrix
from vsframework.dataset.layouts import FieldFiles
from vsframework.dataset.planes import middle_plane
from vsframework.errors import VsfError
from vsframework.images import read_image
from vsframework.interfaces import Detector, ImageArray, Registrar, Registration

MAX_OUTSIDE = 0.02
"""A cell is rejected when more than this share of its patch lies outside the field."""


@dataclass(frozen=True, kw_only=True)
class LocatedCell:
    """One cell of a field, before its fluorescence is cut.

    Attributes
    ----------
    name
        Unique within the field.
    matrix
        Field pixels to crop pixels; None where it was not found.
    crop
        Height and width of the crop in pixels.
    brightfield
        float32 [P, Y, X] counts, the brightfield patch; None where there is none.
    registration
        How the crop was found; None for a detected cell.
    reason
        Why it is rejected; empty if it is good so far.
    """

    name: str
    matrix: Matrix | None
    crop: tuple[int, int]
    brightfield: npt.NDArray[np.float32] | None
    registration: Registration | None = None
    reason: str = ""


def localise_crops(files: FieldFiles, planes: ImageArray, registrar: Registrar, size: int) -> Iterator[LocatedCell]:
    """Find every brightfield crop of a field in its brightfield field, `planes` [P, H, W] (paper, Fig. 2 a and b).

    The crop itself is the brightfield patch; its fluorescence is cut where it was found. A crop has one plane: of a
    field with several, all are cut there instead.
    """
    field = planes[middle_plane(len(planes))]
    prepared = registrar.prepare(field)
    for name, path in files.crops.items():
        try:
            crop = single_plane(read_image(path), path.name)
        except VsfError as error:
            yield LocatedCell(name=name, matrix=None, crop=(0, 0), brightfield=None, reason=str(error))
            continue
        height, width = crop.shape
        found = registrar.register(crop, prepared)
        matrix = np.linalg.inv(found.matrix).astype(np.float64) if found.accepted else None
        reason = "" if found.accepted else f"not localised: {found.reason}"
        brightfield: npt.NDArray[np.float32] | None = resize(crop, size)[None]
        if len(planes) > 1:
            brightfield = None if matrix is None else cut_all(planes, matrix, (height, width), size)
        yield _checked(
            LocatedCell(
                name=name,
                matrix=matrix,
                crop=(height, width),
                brightfield=brightfield,
                registration=found,
                reason=reason,
            ),
            field,
        )


def detect_cells(planes: ImageArray, detector: Detector, field_px: int, size: int) -> Iterator[LocatedCell]:
    """Detect the cells of a field [P, H, W], and cut them with the head horizontal, tip to the right.

    The original study did so; the detector sees the middle plane.
    """
    field = planes[middle_plane(len(planes))]
    for number, detection in enumerate(detector.detect(field)):
        matrix = upright_matrix(detection, field_px)
        crop = (field_px, field_px)
        yield _checked(
            LocatedCell(
                name=f"cell{number:02d}", matrix=matrix, crop=crop, brightfield=cut_all(planes, matrix, crop, size)
            ),
            field,
        )


def single_plane(image: Any, name: str) -> ImageArray:
    """Give the only plane [H, W] of an :class:`~vsframework.images.Image`.

    Raises
    ------
    VsfError
        When the image has several channels.
    """
    if len(image.pixels) != 1:
        raise VsfError(
            f"{name} has {len(image.pixels)} channels ({', '.join(image.channels)}) where one was expected; "
            "write one file per channel"
        )
    plane: ImageArray = image.pixels[0]
    return plane


def _checked(cell: LocatedCell, field: ImageArray) -> LocatedCell:
    """Reject a cell whose patch leaves the field: what lies outside would count as background."""
    if cell.reason or cell.matrix is None:
        return cell
    outside = share_outside(cell.matrix, cell.crop, (field.shape[0], field.shape[1]))
    if outside <= MAX_OUTSIDE:
        return cell
    return LocatedCell(
        name=cell.name,
        matrix=cell.matrix,
        crop=cell.crop,
        brightfield=cell.brightfield,
        registration=cell.registration,
        reason=f"{outside:.0%} of its patch lies outside the field",
    )
