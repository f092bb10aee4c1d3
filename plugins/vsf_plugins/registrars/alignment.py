"""What the bounded alignments of two images of one field share: search, then refine, then ask the images.

A registrar of this kind brings its own refinement; where to begin and whether to believe the end is the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from vsf_plugins.registrars.acceptance import transform, warp_to_moving
from vsf_plugins.registrars.intensities import as_float, problem_with
from vsf_plugins.registrars.outlines import Pixels, outlines, sharpened
from vsf_plugins.registrars.refinement import nearest_similarity
from vsf_plugins.registrars.search import Bounds, Matrix, Reduced, prepare_search, reduce, search
from vsf_plugins.registrars.witness import Demands, testify
from vsframework import Params
from vsframework.interfaces import ImageArray, Registration

Model = Literal["translation", "rigid", "similarity", "affine"]


class AlignmentParams(Params):
    """What every bounded alignment can be told; the defaults align a stain to brightfield of the same field."""

    model: Model = Field("similarity", description="Kind of matrix.")
    compare: Literal["outlines", "intensities"] = Field(
        "outlines", description="What is compared: outlines for two modalities, intensities for two images of one."
    )
    max_shift: float = Field(
        20.0, gt=0, le=500, description="Longest shift of the middle.", json_schema_extra={"unit": "px"}
    )
    max_turn: float = Field(2.5, ge=0, le=15, description="Largest turn.", json_schema_extra={"unit": "degrees"})
    max_scale: float = Field(0.025, ge=0, le=0.2, description="Largest change of scale: 0.02 is 2 % larger or smaller.")
    longest_side: int = Field(
        640,
        ge=64,
        le=8192,
        description="Larger images are compared at this length; 640 of 1920 still resolves a tenth of a pixel.",
        json_schema_extra={"unit": "px"},
    )
    sigma: float = Field(
        2.0,
        gt=0,
        le=20,
        description="Gaussian smoothing before outlines are taken, at the reduced size.",
        json_schema_extra={"unit": "px"},
    )
    whitening: float = Field(
        0.5, ge=0, le=1, description="Power of the whitening of what is compared: 0 leaves it, 1 keeps the phase only."
    )
    min_peak_ratio: float = Field(
        1.5, ge=1, description="Correlation of the outlines over the best one beyond the longest shift."
    )
    min_agreement: float = Field(
        0.6, ge=0, le=1, description="Share of the moving outlines that meet an outline of their kind."
    )
    min_information_ratio: float = Field(
        1.6, ge=1, description="Mutual information of the outlines over the best one beyond, where they do not meet."
    )

    @property
    def bounds(self) -> Bounds:
        """The bounds within which this model may move; a model that cannot turn or scale searches neither."""
        turn = 0.0 if self.model == "translation" else self.max_turn
        scale = 0.0 if self.model in ("translation", "rigid") else self.max_scale
        return Bounds(shift=self.max_shift, turn=turn, scale=scale)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A fixed image [H, W], and what the search and the refinement see of it (None where there is a problem)."""

    pixels: Pixels
    reduced: Reduced | None
    shown: Reduced | None
    problem: str | None


@dataclass(frozen=True, eq=False)
class Views:
    """What a refinement compares: `moving` [h, w], `fixed` [H, W], and the points (x, y) of moving with outlines."""

    moving: Pixels
    fixed: Pixels
    points: npt.NDArray[np.float64]


class Alignment(ABC):
    """A registrar for two images of one field: they begin at the same corner, but for what the bounds allow.

    Accepted is what stays in the bounds and what :mod:`vsf_plugins.registrars.witness` confirms.
    """

    def __init__(self, params: AlignmentParams) -> None:
        self.params = params

    @abstractmethod
    def improve(self, views: Views, start: Matrix) -> Matrix | str:
        """Refine the 3x3 `start` from moving to fixed pixels of `views`, or say why that fails."""

    def prepare(self, fixed: ImageArray) -> Prepared:
        """Describe `fixed` [H, W], any integer or float dtype, once for several stains."""
        pixels = as_float(fixed)
        problem = problem_with(pixels)
        if problem is not None:
            return Prepared(pixels, None, None, problem)
        return Prepared(pixels, prepare_search(pixels), self._shown(pixels, None), None)

    def register(self, moving: ImageArray, fixed: ImageArray | Prepared) -> Registration:
        """Align `moving` [h, w] to `fixed` ([H, W], or what `prepare` gave); never raises for unmatched images."""
        field = fixed if isinstance(fixed, Prepared) else self.prepare(fixed)
        pixels = as_float(moving)
        problem = problem_with(pixels)
        if problem is not None:
            return self._refused(f"the moving image {problem}")
        if field.reduced is None or field.shown is None:
            return self._refused(f"the fixed image {field.problem}")
        if pixels.shape[0] > field.pixels.shape[0] or pixels.shape[1] > field.pixels.shape[1]:
            return self._refused("the moving image is larger than the fixed one")
        start = search(pixels, field.reduced, self.params.bounds)[0][1]
        shown = self._shown(pixels, float(field.shown.shrink[0, 0]))
        inward, outward = np.linalg.inv(shown.shrink), np.linalg.inv(field.shown.shrink)
        features = outlines(reduce(pixels, self.params.longest_side, float(shown.shrink[0, 0])).pixels, 2.0)
        rows, columns = np.nonzero(features >= np.quantile(features, 0.97))
        points = np.stack([columns, rows], axis=1).astype(np.float64)
        views = Views(shown.pixels, field.shown.pixels, points)
        found = self.improve(views, field.shown.shrink @ start @ inward)
        if isinstance(found, str):
            return self._refused(found, start)
        matrix = outward @ found @ shown.shrink
        matrix = matrix / matrix[2, 2] if np.isfinite(matrix).all() else matrix
        return self._judge(pixels, field.pixels, matrix)

    def _judge(self, moving: Pixels, fixed: Pixels, matrix: Matrix) -> Registration:
        if not np.isfinite(matrix).all() or np.linalg.det(matrix[:2, :2]) <= 0:
            return self._refused("the refinement gave no possible matrix")
        params = self.params
        problem = params.bounds.exceeded_by(matrix, moving.shape)
        if problem is not None:
            return self._refused(problem, matrix)
        demands = Demands(
            peak_ratio=params.min_peak_ratio,
            meeting=params.min_agreement,
            information_ratio=params.min_information_ratio,
            reach=params.max_shift,
            tolerance=2.0,
        )
        testimony = testify(moving, fixed, matrix, demands)
        return Registration(
            matrix=matrix,
            model=params.model,
            similarity=testimony.similarity,
            accepted=testimony.problem is None,
            reason=testimony.problem or testimony.reason,
        )

    def _shown(self, pixels: Pixels, factor: float | None) -> Reduced:
        """Reduce an image and take what is compared of it."""
        small = reduce(pixels, self.params.longest_side, factor)
        shown = small.pixels
        if self.params.compare == "outlines":
            shown = sharpened(outlines(shown, self.params.sigma), self.params.whitening)
        return Reduced(shown, small.shrink, {})

    def _refused(self, reason: str, matrix: Matrix | None = None) -> Registration:
        matrix = np.eye(3) if matrix is None else matrix
        return Registration(matrix=matrix, model=self.params.model, accepted=False, reason=reason)


def window(views: Views, matrix: Matrix) -> tuple[Pixels, npt.NDArray[np.uint8]]:
    """Sample the fixed view where `matrix` puts the moving one, and mask (255) what it shows away from its rim."""
    warped = warp_to_moving(views.fixed, matrix, (views.moving.shape[0], views.moving.shape[1]))
    inside = np.isfinite(warped)
    mask = inside.astype(np.uint8) * 255
    if not inside.all():
        mask = np.asarray(cv2.erode(mask, np.ones((5, 5), np.uint8)), dtype=np.uint8)
        warped = np.where(inside, warped, np.float32(np.median(warped[inside]) if inside.any() else 0))
    return warped.astype(np.float32), mask


def nearest_of_model(matrix: Matrix, points: npt.NDArray[np.float64], model: Model) -> Matrix:
    """Give the matrix of `model` that moves `points` [N, 2] most like the affine `matrix`.

    The points are those with outlines: an affine matrix is uncertain where there are none, as in empty corners.
    """
    if model == "affine":
        return matrix
    target = transform(matrix, points)
    found = nearest_similarity(points, target)
    if model == "rigid":
        found[:2, :2] /= np.hypot(found[0, 0], found[1, 0])
    elif model == "translation":
        found[:2, :2] = np.eye(2)
    found[:2, 2] = (target - points @ found[:2, :2].T).mean(axis=0)
    return found
