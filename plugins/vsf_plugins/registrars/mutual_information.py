"""``mutual-information``: bounded alignment, refined by mutual information (SimpleITK).

Source: Mattes et al., IEEE TMI 2003, and the multi-resolution scheme of ITK. SimpleITK is not installed with the
other components (264 MB on disk): ``pip install 'vsf-plugins[registration]'``.
"""

from __future__ import annotations

import importlib
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from vsf_plugins.registrars.alignment import Alignment, AlignmentParams, Views, nearest_of_model
from vsf_plugins.registrars.search import Matrix
from vsframework import Component, VsfError

_MASK_RADIUS = 7
"""How far around outlines (px, at the compared size) intensities count: beyond lies ground, which says nothing."""


class MutualInformationParams(AlignmentParams):
    """What ``mutual-information`` can be told."""

    bins: int = Field(16, ge=5, le=256, description="Grey classes of the joint histogram along each side.")
    levels: int = Field(2, ge=1, le=5, description="Resolutions: each level halves the one before.")
    iterations: int = Field(40, ge=1, le=1000, description="Most steps at each level.")


class MutualInformation(Alignment):
    """Aligns two images of one field by what their grey values tell about each other.

    Raises
    ------
    VsfError
        When SimpleITK is not installed.
    """

    params: MutualInformationParams

    def __init__(self, params: MutualInformationParams) -> None:
        super().__init__(params)
        self._itk = _simple_itk()

    def improve(self, views: Views, start: Matrix) -> Matrix | str:
        """Climb from `start` by regular steps, from coarse to fine."""
        itk = self._itk
        centre = [(views.moving.shape[1] - 1) / 2, (views.moving.shape[0] - 1) / 2]
        transform = self._transform(nearest_of_model(start, views.points, self.params.model), centre)
        method = itk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)
        method.SetMetricAsMattesMutualInformation(self.params.bins)
        method.SetMetricSamplingStrategy(method.NONE)
        method.SetMetricFixedMask(itk.GetImageFromArray(_around(views)))
        method.SetInterpolator(itk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(0.5, 0.01, self.params.iterations, 0.6)
        method.SetOptimizerScalesFromPhysicalShift()
        shrink = [2**level for level in reversed(range(self.params.levels))]
        method.SetShrinkFactorsPerLevel(shrink)
        method.SetSmoothingSigmasPerLevel([0.5 * factor if factor > 1 else 0.0 for factor in shrink])
        method.SetInitialTransform(transform, inPlace=True)
        try:
            # ITK's transform goes from what it calls fixed to what it calls moving: our moving image is its fixed one
            method.Execute(itk.GetImageFromArray(views.moving), itk.GetImageFromArray(views.fixed))
        except RuntimeError:
            return "the mutual information leads to no position"
        return np.round(_matrix(transform), 9)  # ITK's sums differ in the last bits from run to run

    def _transform(self, start: Matrix, centre: list[float]) -> Any:
        itk = self._itk
        if self.params.model == "translation":
            return itk.TranslationTransform(2, list(start[:2, 2]))
        kinds = {
            "rigid": itk.Euler2DTransform,
            "similarity": itk.Similarity2DTransform,
        }
        kind = kinds.get(self.params.model)
        transform = kind() if kind else itk.AffineTransform(2)
        transform.SetCenter(centre)
        turn = [float(value) for value in start[:2, :2].ravel()]
        # ITK compares a turn with its inverse to within 1e-10, which rounding alone can miss
        transform.SetMatrix(turn, 1e-6) if kind else transform.SetMatrix(turn)
        transform.SetTranslation([float(value) for value in start[:2, :2] @ centre + start[:2, 2] - centre])
        return transform


def _matrix(transform: Any) -> Matrix:
    origin = np.array(transform.TransformPoint((0.0, 0.0)))
    matrix = np.eye(3)
    matrix[:2, 0] = np.array(transform.TransformPoint((1.0, 0.0))) - origin
    matrix[:2, 1] = np.array(transform.TransformPoint((0.0, 1.0))) - origin
    matrix[:2, 2] = origin
    return matrix


def _around(views: Views) -> Any:
    """Give the mask (1 inside) of what lies near outlines of the moving view."""
    mask = np.zeros(views.moving.shape, np.uint8)
    mask[views.points[:, 1].astype(np.intp), views.points[:, 0].astype(np.intp)] = 1
    side = 2 * _MASK_RADIUS + 1
    return cv2.dilate(mask, np.ones((side, side), np.uint8))


def _simple_itk() -> Any:
    try:
        return importlib.import_module("SimpleITK")
    except ImportError as error:
        raise VsfError(
            "the registrar mutual-information needs SimpleITK, which is not installed here: "
            "pip install 'vsf-plugins[registration]', or choose ecc, which needs nothing more"
        ) from error


COMPONENT = Component(
    name="mutual-information",
    build=MutualInformation,
    params=MutualInformationParams,
    summary="Aligns two modalities of one field by mutual information, from coarse to fine (needs SimpleITK).",
)
