"""Localisation by SIFT, FLANN, Lowe's ratio test and RANSAC (paper: how a patch is found in its field)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from vsf_plugins.registrars import acceptance
from vsf_plugins.registrars.acceptance import Limits, Matrix, Points
from vsf_plugins.registrars.intensities import as_float, as_uint8, problem_with
from vsf_plugins.registrars.refinement import refine, rms
from vsframework import Component, Params
from vsframework.interfaces import ImageArray, Registration

Model = Literal["similarity", "affine", "homography"]


class SiftRansacParams(Params):
    """What ``sift-ransac`` can be told; the defaults localise a sperm head in its own brightfield field."""

    model: Literal["auto", "similarity", "affine", "homography"] = Field(
        "auto",
        description="Kind of matrix (paper: homography); auto takes the simplest one that explains the matches, "
        "because a homography through a dozen points bends.",
    )
    ratio: float = Field(
        0.75, gt=0, lt=1, description="Lowe's ratio test: nearest over second nearest descriptor distance."
    )
    ransac: Literal["ransac", "magsac"] = Field(
        "ransac", description="Robust estimator: plain RANSAC (paper), or USAC_MAGSAC for affine and homography."
    )
    ransac_px: float = Field(
        3.0,
        gt=0,
        le=50,
        description="Distance up to which a match counts as an inlier.",
        json_schema_extra={"unit": "px"},
    )
    contrast: Literal["linear", "clahe"] = Field(
        "linear", description="Before describing: a linear stretch, or CLAHE on top of it for uneven illumination."
    )
    contrast_threshold: float = Field(0.02, gt=0, le=1, description="SIFT's contrast threshold; lower finds more.")
    max_features: int = Field(20_000, ge=100, description="Strongest SIFT features that are kept per image.")
    min_inliers: int = Field(8, ge=4, description="Inliers, each with a target point of its own.")
    min_inlier_share: float = Field(0.25, ge=0, le=1, description="Inliers over matches.")
    min_spread: float = Field(
        0.03, ge=0, le=0.5, description="Spread of the inliers across their narrow direction, over the shorter side."
    )
    max_residual_px: float = Field(
        2.0, gt=0, le=50, description="Root mean square distance of the inliers.", json_schema_extra={"unit": "px"}
    )
    max_scale: float | None = Field(
        None,
        gt=1,
        description="Largest magnification or reduction; by default 2 for a similarity and 5 for the other models.",
    )
    max_anisotropy: float = Field(4.0, ge=1, description="Longest over shortest axis that a circle maps to.")
    min_overlap: float = Field(0.5, ge=0, le=1, description="Share of the moving image that lies in the fixed one.")
    min_similarity: float = Field(0.6, ge=-1, le=1, description="Normalised correlation after warping.")
    max_repetition: float = Field(
        0.9, gt=0, description="How well the patch may also fit beside its position, over how well it fits there."
    )
    refine: bool = Field(True, description="Refine on the pixels (ECC) and keep it where the correlation gains.")
    max_refinement: float = Field(
        0.02, ge=0, le=0.2, description="How far refinement may move a corner, as a share of the moving diagonal."
    )


@dataclass(frozen=True, eq=False)
class Described:
    """An image [H, W] with its SIFT features, ready to be searched."""

    pixels: npt.NDArray[np.float32]
    points: Points
    descriptors: npt.NDArray[np.float32]
    matcher: Any
    problem: str | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


class SiftRansac:
    """Finds a patch in its own field, and says when it is not there.

    Source: Yilmaz et al. 2023 (SIFT, FLANN with two neighbours, Lowe's ratio test, RANSAC homography). Added here:
    the checks of :mod:`vsf_plugins.registrars.acceptance` and the refinement on the pixels. For images of one
    modality; to align fluorescence with brightfield use ``phase-correlation``.

    Examples
    --------
    >>> import numpy as np
    >>> from vsf_plugins.registrars.sift_ransac import SiftRansac, SiftRansacParams
    >>> registration = SiftRansac(SiftRansacParams()).register(np.zeros((64, 64)), np.zeros((256, 256)))
    >>> registration.accepted, registration.reason
    (False, 'the moving image is constant')
    """

    def __init__(self, params: SiftRansacParams) -> None:
        self.params = params

    def prepare(self, fixed: ImageArray) -> Described:
        """Describe `fixed` [H, W], any integer or float dtype, once for many patches."""
        return self._describe(fixed, index=True)

    def register(self, moving: ImageArray, fixed: ImageArray | Described) -> Registration:
        """Find `moving` [h, w] in `fixed` ([H, W], or what `prepare` gave); never raises for unmatched images."""
        field = fixed if isinstance(fixed, Described) else self.prepare(fixed)
        patch = self._describe(moving, index=False)
        for name, image in (("moving", patch), ("fixed", field)):
            if image.problem is not None:
                return _refused(f"the {name} image {image.problem}")
        source, target = self._match(patch, field)
        found = self._estimate(source, target)
        if found is None:
            return _refused(f"{len(source)} matches fix no position", matches=len(source))
        matrix, inside, model = found
        source, target, matches = source[inside], target[inside], len(source)
        residual = rms(matrix, source, target)
        limits = self._limits(model)
        problem = (
            acceptance.check_inliers(source, target, matches, patch.shape, limits)
            or acceptance.check_residual(residual, limits)
            or acceptance.check_geometry(matrix, patch.shape, field.shape, limits)
        )
        similarity = float("nan")
        if problem is None:
            matrix, similarity = self._refine(patch, field, matrix, model, source, target)
            residual = rms(matrix, source, target)
            problem = (
                acceptance.check_similarity(similarity, limits)
                or acceptance.check_geometry(matrix, patch.shape, field.shape, limits)
                or acceptance.check_repetition(patch.pixels, field.pixels, matrix, limits)
            )
        agree = f"{len(source)} of {matches} matches agree on a {model}, correlation {similarity:.2f} after warping"
        return Registration(
            matrix=matrix,
            model=model,
            matches=matches,
            inliers=len(source),
            residual_px=residual,
            similarity=similarity,
            pairs=np.stack([source, target], axis=1),
            accepted=problem is None,
            reason=problem or agree,
        )

    def _describe(self, image: ImageArray, *, index: bool) -> Described:
        pixels = as_float(image)
        problem = problem_with(pixels)
        points = np.zeros((0, 2))
        descriptors = np.zeros((0, 128), dtype=np.float32)
        matcher = None
        if problem is None:
            grey = as_uint8(pixels)
            if self.params.contrast == "clahe":
                grey = np.asarray(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(grey), dtype=np.uint8)
            # precise upscaling: without it every keypoint sits 0.25 px off, and a rotated patch 0.5 px
            sift = cv2.SIFT_create(  # type: ignore[attr-defined]
                nfeatures=self.params.max_features,
                contrastThreshold=self.params.contrast_threshold,
                enable_precise_upscale=True,
            )
            keypoints, found = sift.detectAndCompute(grey, None)
            if len(keypoints) < self.params.min_inliers:
                problem = f"shows only {len(keypoints)} features ({self.params.min_inliers} needed)"
            else:
                points = np.array([keypoint.pt for keypoint in keypoints], dtype=np.float64)
                descriptors = np.asarray(found, dtype=np.float32)
        if index and problem is None:
            cv2.setRNGSeed(0)  # the trees of FLANN are random; results must not be
            matcher = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 5}, {"checks": 64})
            matcher.add([descriptors])
            matcher.train()
        return Described(pixels, points, descriptors, matcher, problem)

    def _match(self, patch: Described, field: Described) -> tuple[Points, Points]:
        """Give the matches [N, 2], [N, 2] that pass the ratio test; of several on one target, the nearest."""
        best: dict[int, Any] = {}
        for pair in field.matcher.knnMatch(patch.descriptors, k=2):
            if len(pair) == 2 and pair[0].distance < self.params.ratio * pair[1].distance:
                rival = best.get(pair[0].trainIdx)
                if rival is None or pair[0].distance < rival.distance:
                    best[pair[0].trainIdx] = pair[0]
        source = np.array([patch.points[match.queryIdx] for match in best.values()]).reshape(-1, 2)
        target = np.array([field.points[match.trainIdx] for match in best.values()]).reshape(-1, 2)
        return source, target

    def _estimate(self, source: Points, target: Points) -> tuple[Matrix, npt.NDArray[np.bool_], Model] | None:
        """Fit the chosen model, or the simplest that leaves at most a tenth more matches unexplained."""
        if self.params.model != "auto":
            return self._fit(source, target, self.params.model)
        chosen: tuple[Matrix, npt.NDArray[np.bool_], Model] | None = None
        models: tuple[Model, ...] = ("similarity", "affine", "homography")
        for model in models:
            found = self._fit(source, target, model)
            if found is not None and (chosen is None or 0.9 * found[1].sum() > chosen[1].sum()):
                chosen = found
            if chosen is not None and chosen[1].sum() >= 0.9 * len(source):
                break
        return chosen

    def _fit(self, source: Points, target: Points, model: Model) -> tuple[Matrix, npt.NDArray[np.bool_], Model] | None:
        if len(source) < 4:
            return None
        method = cv2.USAC_MAGSAC if self.params.ransac == "magsac" and model != "similarity" else cv2.RANSAC
        threshold = self.params.ransac_px
        try:
            if model == "homography":
                found, mask = cv2.findHomography(source, target, method, threshold, maxIters=5000, confidence=0.999)
            elif model == "affine":
                found, mask = cv2.estimateAffine2D(
                    source, target, method=method, ransacReprojThreshold=threshold, maxIters=5000, confidence=0.999
                )
            else:
                found, mask = cv2.estimateAffinePartial2D(
                    source, target, method=method, ransacReprojThreshold=threshold, maxIters=5000, confidence=0.999
                )
        except cv2.error:  # degenerate points
            return None
        if found is None or mask is None or not mask.any() or not np.all(np.isfinite(found)):
            return None
        matrix = np.eye(3)
        matrix[: found.shape[0]] = found
        return matrix, mask.ravel() > 0, model

    def _refine(
        self, patch: Described, field: Described, matrix: Matrix, model: Model, source: Points, target: Points
    ) -> tuple[Matrix, float]:
        if self.params.refine:
            move = self.params.max_refinement
            return refine(patch.pixels, field.pixels, matrix, model, source=source, target=target, max_move=move)
        warped = acceptance.warp_to_moving(field.pixels, matrix, patch.shape)
        return matrix, acceptance.correlation(patch.pixels, warped)

    def _limits(self, model: Model) -> Limits:
        params = self.params
        largest = params.max_scale or (2.0 if model == "similarity" else 5.0)
        return Limits(
            min_inliers=params.min_inliers,
            min_inlier_share=params.min_inlier_share,
            min_spread=params.min_spread,
            max_residual_px=params.max_residual_px,
            min_scale=1 / largest,
            max_scale=largest,
            max_anisotropy=params.max_anisotropy,
            min_overlap=params.min_overlap,
            min_similarity=params.min_similarity,
            max_repetition=params.max_repetition,
        )


def _refused(reason: str, matches: int = 0) -> Registration:
    return Registration(matrix=np.eye(3), model="similarity", matches=matches, accepted=False, reason=reason)


COMPONENT = Component(
    name="sift-ransac",
    build=SiftRansac,
    params=SiftRansacParams,
    summary="Finds a brightfield patch in its field: SIFT, FLANN, ratio test, RANSAC, then checked and refined.",
)
