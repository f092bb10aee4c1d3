"""The DNA fragmentation index: how much of a cell's DNA is single-stranded.

Yilmaz, Aydin & Varol, Sci. Rep. 2023, eq. 4: DFI = ssDNA / (ssDNA + dsDNA). The equation says "area", the text says
intensities; only integrated intensities give the measured values (0.12 to 0.33 on the study's own example cells,
where areas give about 0.5), so intensity is the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from array_api_compat import array_namespace
from pydantic import Field

from vsf_plugins.quantifiers.sums import sum_dtype
from vsframework.components import Component, Params
from vsframework.errors import UsageError
from vsframework.interfaces import Quantity


class DfiParams(Params):
    """Which channels, and what of them is summed."""

    double_stranded: str = Field(
        "dsDNA", min_length=1, description="Channel of the double-stranded DNA (acridine orange: green)."
    )
    single_stranded: str = Field(
        "ssDNA", min_length=1, description="Channel of the single-stranded DNA (acridine orange: red)."
    )
    mode: Literal["intensity", "area"] = Field(
        "intensity", description="Sum the intensity of each stain (the measured DFI), or count its bright pixels."
    )
    threshold: float = Field(
        0.1, ge=0, description="Only for area: a pixel counts when it is brighter than this (see threshold_unit)."
    )
    threshold_unit: Literal["fraction", "counts"] = Field(
        "fraction", description="Only for area: a fraction of the stain's brightest pixel in the patch, or counts."
    )


class Dfi:
    """Measures DFI = ssDNA / (ssDNA + dsDNA) per patch, in [0, 1].

    A patch without any signal has DFI 0 and a gradient of 0, so that it neither breaks nor steers a training. In
    NumPy sums are float64; elsewhere they keep the dtype of the stains but are at least float32 (float64 would not
    run on most inference engines). There are no branches on values: one definition is traced into an exported graph.
    With ``mode="area"`` the gradient is 0 everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> stains = np.stack([np.full((4, 4), 30.0), np.full((4, 4), 10.0)])
    >>> values = Dfi(DfiParams()).measure(stains, ["dsDNA", "ssDNA"])
    >>> float(values["dfi"]), float(values["ssDNA_sum"])
    (0.25, 160.0)
    """

    def __init__(self, params: DfiParams) -> None:
        if params.double_stranded == params.single_stranded:
            raise UsageError(
                f"dfi: double_stranded and single_stranded are both {params.double_stranded!r}; name two channels"
            )
        self.params = params

    @property
    def quantities(self) -> Sequence[Quantity]:
        """DFI first, then what it is made of: sums in counts, or areas in pixels."""
        double, single = self.params.double_stranded, self.params.single_stranded
        if self.params.mode == "intensity":
            suffix, unit, what = "sum", "counts", "Integrated intensity"
        else:
            suffix, unit, what = "area", "px", "Number of pixels above the threshold"
        return (
            Quantity(
                name="dfi",
                unit="1",
                description=f"DNA fragmentation index: {single} / ({single} + {double}).",
                lowest=0,
                highest=1,
            ),
            Quantity(name=f"{double}_{suffix}", unit=unit, description=f"{what} of {double}.", lowest=0),
            Quantity(name=f"{single}_{suffix}", unit=unit, description=f"{what} of {single}.", lowest=0),
        )

    def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
        """Measure `stains` [..., C, H, W], >= 0, background removed, of any array-API library.

        Raises
        ------
        UsageError
            When a channel is not among `channels`.
        """
        double = self._amount(stains, channels, self.params.double_stranded)
        single = self._amount(stains, channels, self.params.single_stranded)
        dfi, first, second = (quantity.name for quantity in self.quantities)
        return {dfi: _share(single, double), first: double, second: single}

    def _amount(self, stains: Any, channels: Sequence[str], name: str) -> Any:
        if name not in channels:
            raise UsageError(
                f"dfi needs the channel {name!r}, but the stains are {', '.join(channels) or 'none'}; "
                "set quantifier.double_stranded and quantifier.single_stranded to two of them"
            )
        xp = array_namespace(stains)
        stain = xp.astype(stains[..., list(channels).index(name), :, :], sum_dtype(xp, stains.dtype))
        if self.params.mode == "area":
            threshold = self.params.threshold
            if self.params.threshold_unit == "fraction":
                threshold = threshold * xp.max(stain, axis=(-2, -1), keepdims=True)
            stain = xp.astype(stain > threshold, stain.dtype)
        return xp.sum(stain, axis=(-2, -1))


def _share(part: Any, rest: Any) -> Any:
    """Give part / (part + rest), and 0 where both are 0."""
    xp = array_namespace(part)
    total = part + rest
    # Below the smallest normal number 1 / total overflows, and the gradient with it.
    measurable = total >= xp.finfo(total.dtype).smallest_normal
    # The inner `where` keeps the division, and so its gradient, away from 0 / 0; the outer one sets the value.
    quotient = part / xp.where(measurable, total, xp.ones_like(total))
    return xp.where(measurable, quotient, xp.zeros_like(quotient))


COMPONENT = Component(
    name="dfi",
    build=Dfi,
    params=DfiParams,
    summary="DNA fragmentation index per cell: ssDNA / (ssDNA + dsDNA), from integrated intensities.",
)
