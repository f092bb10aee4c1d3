"""``vsf_denoiser`` should be ``vsf_denoisers``; the quantifier beside it is found, and works in NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vsframework import Component, hookimpl
from vsframework.interfaces import Quantity


class Brightest:
    """The brightest pixel of all stains."""

    def __init__(self, params: object) -> None:
        self.quantities = (Quantity(name="brightest", unit="counts", description="Brightest pixel of all stains."),)

    def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
        """Measure `stains` [..., C, H, W]."""
        return {"brightest": stains.reshape(*stains.shape[:-3], -1).max(-1)}


@hookimpl
def vsf_denoiser() -> list[Component[Any]]:
    return []


@hookimpl
def vsf_quantifiers() -> list[Component[Any]]:
    return [Component(name="lab-brightest", build=Brightest, summary="Measures the brightest pixel.")]
