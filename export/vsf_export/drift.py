"""How far a runtime's numbers are from torch's, per cell, and whether that may be handed out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_export.staining_graph import STAINS
from vsframework import VsfError
from vsframework.interfaces import ExportSpec

Differences = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[np.float32]]
WINDOW = 7
"""Side of the square that SSIM compares, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Differences between a runtime and torch over the reference cells.

    Attributes
    ----------
    values
        Names to numbers. Per stain: ``NAME_max_abs_counts``, ``NAME_mean_abs_counts``, ``NAME_psnr_db`` (left out where
        nothing differs) and ``NAME_ssim`` (both against full scale). ``stains_max_drift``: the largest difference as a
        part of full scale. Per quantity, in its unit: ``NAME_mean_abs``, ``NAME_p95_abs``, ``NAME_max_abs``.
    drifts
        Per quantity, the largest difference divided by max(1, |expected|); infinite where one of the two is no number.
    worst_cell
        Where the value of interest differs most.
    """

    values: Mapping[str, float]
    drifts: Mapping[str, float]
    worst_cell: str

    def problem(self, spec: ExportSpec, limit: float, *, exact: bool, step: float = 0.0) -> str:
        """Say what drifted too far; empty if nothing did.

        The value of interest (the quantifier's first) may move by `limit`; where the graph should be `exact` (fp32) so
        may the other quantities and, `step` more (a part of full scale), every pixel.
        """
        watched = dict(self.drifts) if exact else {name: self.drifts[name] for name in _names(spec)[:1]}
        if exact:
            watched["the stains"] = max(0.0, self.values["stains_max_drift"] - step)
        found = [f"{name} by {value:.2g}" for name, value in watched.items() if not value <= limit]
        if not found:
            return ""
        return f"drifts from torch ({', '.join(found)} in cell {self.worst_cell}; at most {limit:g} is allowed)"


def measure_drift(outputs: Arrays, expected: Arrays, spec: ExportSpec, cells: Sequence[str]) -> Drift:
    """Compare graph outputs with the expected ones: stains float32 [N, S, H, W] in counts, quantities [N].

    Raises
    ------
    VsfError
        When a shape differs.
    """
    for name, wanted in expected.items():
        if outputs[name].shape != wanted.shape:
            raise VsfError(f"output {name} has the shape {outputs[name].shape} and should have {wanted.shape}")
    values: dict[str, float] = {}
    parts = []
    for index, (stain, scale) in enumerate(zip(spec.stains, spec.stain_full_scale, strict=True)):
        got: Differences = outputs[STAINS][:, index].astype(np.float64)
        true: Differences = expected[STAINS][:, index].astype(np.float64)
        difference: Differences = np.abs(got - true)
        values[f"{stain}_max_abs_counts"] = _largest(difference)
        values[f"{stain}_mean_abs_counts"] = float(difference.mean())
        squared = float(np.square(difference).mean())
        if squared > 0:
            values[f"{stain}_psnr_db"] = float(10 * np.log10(scale**2 / squared))
        if min(got.shape[1:]) >= WINDOW:
            values[f"{stain}_ssim"] = _ssim(got, true, scale)
        parts.append(_largest(difference) / scale)
    values["stains_max_drift"] = max(parts)
    drifts: dict[str, float] = {}
    worst = 0
    for name in _names(spec):
        difference = _difference(outputs[name], expected[name])
        values[f"{name}_mean_abs"] = float(difference.mean())
        values[f"{name}_p95_abs"] = float(np.percentile(difference, 95)) if np.isfinite(difference).all() else np.inf
        values[f"{name}_max_abs"] = float(difference.max())
        relative = difference / np.maximum(1.0, np.abs(np.nan_to_num(expected[name].astype(np.float64))))
        if not drifts:
            worst = int(relative.argmax())
        drifts[name] = float(relative.max())
    rounded = {name: float(f"{value:.3g}") for name, value in values.items()}
    return Drift(values=rounded, drifts=drifts, worst_cell=cells[worst])


def _names(spec: ExportSpec) -> list[str]:
    return [quantity.name for quantity in spec.quantifier.quantities]


def _largest(difference: npt.NDArray[np.float64]) -> float:
    return float(np.where(np.isnan(difference), np.inf, difference).max())


def _difference(got: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Give |got - expected|; two NaN agree (an empty patch has no ratio), equal infinities do."""
    left, right = got.astype(np.float64), expected.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        difference = np.abs(left - right)
    return np.where(same, 0.0, np.where(np.isfinite(difference), difference, np.inf))


def _ssim(got: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], scale: float) -> float:
    from skimage.metrics import structural_similarity

    measure: Any = structural_similarity  # untyped
    pairs = zip(got, wanted, strict=True)
    return float(np.mean([measure(one, other, data_range=scale, win_size=WINDOW) for one, other in pairs]))
