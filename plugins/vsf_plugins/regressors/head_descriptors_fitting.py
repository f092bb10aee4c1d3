"""Kernel ridge regression from the look of a head to how it deviates from its donor's other cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from vsf_plugins.regressors.brightfield_descriptors import describe
from vsf_plugins.regressors.donor_deviation import DeviationScale, Floats, deviations
from vsf_plugins.regressors.head_descriptors import HeadDescriptorsParams
from vsframework.errors import VsfError

FAR = 4.0
"""Standard deviations at which a descriptor is cut off: an overlapped head must not be unlike everything."""


class HeadDescriptors:
    """Fits the regression; nothing is drawn, so the seed has no influence."""

    def __init__(self, params: HeadDescriptorsParams) -> None:
        self.params = params

    def fit(
        self,
        brightfield: npt.NDArray[np.float32],
        values: npt.NDArray[np.float64],
        donors: Sequence[str],
        seed: int,
    ) -> FittedHeadDescriptors:
        """Learn `values` [N] from `brightfield` [N, P, H, W].

        Raises
        ------
        VsfError
            When there are fewer than two cells.
        """
        if len(values) < 2:
            raise VsfError(f"head-descriptors cannot learn from {len(values)} cells; it needs 2 or more")
        kinds = [_Scaled.of(found, self.params.reach) for found in describe(brightfield)]
        kernel = _mean([kind.kernel(kind.cells) for kind in kinds])
        wanted, scale = deviations(values, donors)
        weights = _mean([_solve(kernel, wanted, ridge) for ridge in self.params.ridges])
        return FittedHeadDescriptors(kinds, weights, scale)


class FittedHeadDescriptors:
    """The training cells' descriptors, and what each says."""

    def __init__(self, kinds: Sequence[_Scaled], weights: Floats, scale: DeviationScale) -> None:
        self._kinds = kinds
        self._weights = weights
        self._scale = scale

    def predict(self, brightfield: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Predict the quantity of each of `brightfield` [N, P, H, W]."""
        if not len(brightfield):
            return np.empty(0)
        found = describe(brightfield)
        kernels = [kind.kernel(kind.scaled(own)) for kind, own in zip(self._kinds, found, strict=True)]
        return self._scale.values(_mean(kernels) @ self._weights)


@dataclass(frozen=True)
class _Scaled:
    """One kind of descriptors of the training cells [N, D], on a common scale."""

    cells: Floats
    offset: Floats
    unit: Floats
    reach: float

    @classmethod
    def of(cls, found: Floats, reach: float) -> _Scaled:
        offset, spread = found.mean(axis=0), found.std(axis=0)
        unit = np.where(spread > 0, spread, 1.0)
        return cls(_standardised(found, offset, unit), offset, unit, reach)

    def scaled(self, found: Floats) -> Floats:
        """Bring `found` [M, D] to the scale of the training cells."""
        return _standardised(found, self.offset, self.unit)

    def kernel(self, scaled: Floats) -> Floats:
        """How alike `scaled` [M, D] and the training cells look: [M, N], 0 to 1."""
        squares = (scaled**2).sum(axis=1)[:, None] + (self.cells**2).sum(axis=1) - 2 * scaled @ self.cells.T
        alike: Floats = np.exp(-np.maximum(squares, 0) / (2 * self.reach**2))
        return alike


def _standardised(found: Floats, offset: Floats, unit: Floats) -> Floats:
    """Scale `found` [M, D] so that the typical squared distance between two cells is 2."""
    clipped: Floats = np.clip((found - offset) / unit, -FAR, FAR) / np.sqrt(found.shape[1])
    return clipped


def _solve(kernel: Floats, wanted: Floats, ridge: float) -> Floats:
    solved: Floats = cho_solve(cho_factor(kernel + ridge * np.eye(len(kernel))), wanted)
    return solved


def _mean(arrays: Sequence[Floats]) -> Floats:
    averaged: Floats = np.mean(arrays, axis=0)
    return averaged
