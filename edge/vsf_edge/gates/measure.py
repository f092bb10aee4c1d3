"""What a gate says about the values it measures, and how several gates share the preparation of the patches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsf_edge.gates.planes import PatchPlanes, Values, prepared
from vsf_edge.interfaces import Gate


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One value of a gate.

    Attributes
    ----------
    name, unit
        As in the trust table; "1" for a ratio.
    too_low, too_high
        What is wrong with a cell whose value lies below or above the accepted ones; empty where that side is fine.
    resolution
        Differences smaller than this mean nothing; keeps thresholds apart where all training cells look the same.
    at_most
        An upper limit that holds whatever the training data look like; None to learn it.
    """

    name: str
    unit: str
    too_low: str = ""
    too_high: str = ""
    resolution: float
    at_most: float | None = None


class MeasuresPlanes(ABC):
    """A gate that measures prepared patches, alone or sharing them with others: what the built-in gates are.

    Anybody's gate may be one as well, and need not be.
    """

    @property
    @abstractmethod
    def measures(self) -> Sequence[Measure]:
        """What `measure` gives, in order."""

    @abstractmethod
    def measure_planes(self, planes: PatchPlanes) -> Values:
        """Measure a few prepared patches: float64 [N, M], each cell's values independent of the others."""

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> Values:
        """Measure every patch of `brightfield` [N, P, H, W], counts: float64 [N, M]."""
        found = [self.measure_planes(planes) for planes in prepared(brightfield, full_scale)]
        return np.concatenate([np.zeros((0, len(self.measures))), *found])


def measure_together(gates: Sequence[Gate], brightfield: npt.NDArray[np.generic], full_scale: float) -> list[Values]:
    """Measure `brightfield` [N, P, H, W], counts, with every gate: float64 [N, M] each.

    The patches are prepared once for all gates that can share it; the others are asked with all patches.
    """
    sharing = {index: gate for index, gate in enumerate(gates) if isinstance(gate, MeasuresPlanes)}
    parts: dict[int, list[Values]] = {index: [] for index in sharing}
    for planes in prepared(brightfield, full_scale):
        for index, gate in sharing.items():
            parts[index].append(gate.measure_planes(planes))
    return [
        np.concatenate(parts[index]) if parts.get(index) else gate.measure(brightfield, full_scale)
        for index, gate in enumerate(gates)
    ]
