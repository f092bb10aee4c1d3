"""A gate: measures whether the image of a cell is of the kind that a number can be trusted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class GateMeasure:
    """One value of a gate.

    Attributes
    ----------
    name, unit
        As in the trust table; "1" for a ratio.
    too_low, too_high
        What is wrong with a cell whose value lies below or above the accepted ones, as words that go on after
        "abstained, because"; empty where that side is fine.
    resolution
        Differences smaller than this mean nothing (in `unit`, above 0); keeps limits apart where all training cells
        look the same.
    at_most
        An upper limit that holds whatever the training cells look like; None to learn it.
    """

    name: str
    unit: str
    too_low: str = ""
    too_high: str = ""
    resolution: float
    at_most: float | None = None


@runtime_checkable
class Gate(Protocol):
    """Measures whether the image of one cell is of the kind that a number can be trusted for.

    A gate only measures. Which values are accepted is learnt from the training cells (``vsf calibrate``), by the same
    rule for all gates, and a cell outside gets no number. Called once per training cell then, and once per cell
    whenever a value is to be given; so it should take a millisecond.

    A gate that is to judge beside the microscope too, where there is no vsframework, is a class in a package without
    it, named by the entry point ``gate.NAME`` of the group ``vsf_edge`` and built with the same parameters.
    """

    @property
    def version(self) -> str:
        """Goes up whenever the same image gives other values: limits learnt with another version mean nothing."""

    @property
    def together(self) -> str:
        """What is wrong with a cell whose values are unusual *together* (Mahalanobis distance).

        Empty: every value has limits of its own.
        """

    @property
    def measures(self) -> Sequence[GateMeasure]:
        """What `measure` gives, in order."""

    def measure(self, brightfield: npt.NDArray[np.generic], full_scale: float) -> npt.NDArray[np.float64]:
        """Measure every patch of `brightfield` [N, P, H, W], counts (`full_scale` is saturated): float64 [N, M].

        Never raises for an image that is no cell (blank, tiny, saturated): it gives numbers.
        """
