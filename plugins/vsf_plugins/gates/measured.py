"""A gate of the edge under the contract of the core: the two know nothing of each other."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.interfaces import Gate as EdgeGate
from vsframework.interfaces import GateMeasure


class MeasuredOnTheEdge:
    """The gate class `name` of `module`, built with `params`."""

    def __init__(self, module: str, name: str, params: Mapping[str, Any]) -> None:
        self._gate: EdgeGate = getattr(importlib.import_module(module), name)(**params)

    @property
    def version(self) -> str:
        """Version of the measurement."""
        return self._gate.version

    @property
    def together(self) -> str:
        """Reason text of a gate whose values are judged together."""
        return self._gate.together

    @property
    def measures(self) -> Sequence[GateMeasure]:
        """What `measure` gives, in order."""
        return [GateMeasure(**vars(measure)) for measure in self._gate.measures]

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure every patch of `brightfield` [N, P, H, W], counts: float64 [N, M]."""
        return self._gate.measure(brightfield, full_scale)
