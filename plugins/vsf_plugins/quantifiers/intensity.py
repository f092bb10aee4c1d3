"""How bright each stain is, and over how large an area: for stains whose amount is the answer (a nuclear stain)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from array_api_compat import array_namespace
from pydantic import Field

from vsf_plugins.quantifiers.sums import sum_dtype
from vsframework.components import Component, Params
from vsframework.errors import UsageError
from vsframework.interfaces import Quantity


class IntensityParams(Params):
    """Which stains, and from which count on a pixel is stained."""

    stains: tuple[str, ...] = Field(
        ("dsDNA", "ssDNA"), min_length=1, description="The stains to measure; the first one's sum is what is reported."
    )
    level: float = Field(
        10.0,
        ge=0,
        description="A pixel belongs to the stained area when it is brighter than this.",
        json_schema_extra={"unit": "counts"},
    )


class Intensity:
    """Measures per stain the integrated and the mean intensity, and the area above a level.

    Sums have the dtype that `dfi` sums with: float64 in NumPy, at least float32 elsewhere. The area has a gradient of
    0 everywhere, so it cannot be trained on; the intensities can.

    Examples
    --------
    >>> import numpy as np
    >>> stain = np.zeros((1, 4, 4))
    >>> stain[0, :2, :2] = 30.0
    >>> values = Intensity(IntensityParams(stains=("DAPI",))).measure(stain, ["DAPI"])
    >>> {name: float(value) for name, value in values.items()}
    {'DAPI_sum': 120.0, 'DAPI_mean': 7.5, 'DAPI_area': 4.0}
    """

    def __init__(self, params: IntensityParams) -> None:
        if len(set(params.stains)) < len(params.stains):
            raise UsageError(f"intensity: stains names one twice ({', '.join(params.stains)}); name each once")
        self.params = params

    @property
    def quantities(self) -> Sequence[Quantity]:
        """Sum, mean and area of each stain in turn."""
        level = self.params.level
        return [
            Quantity(name=f"{stain}_{what}", unit=unit, description=description.format(stain), lowest=0)
            for stain in self.params.stains
            for what, unit, description in (
                ("sum", "counts", "Integrated intensity of {}."),
                ("mean", "counts", "Mean intensity of {} over the patch."),
                ("area", "px", f"Pixels of {{}} above {level:g} counts."),
            )
        ]

    def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
        """Measure `stains` [..., C, H, W], >= 0, background removed, counts, of any array-API library.

        Raises
        ------
        UsageError
            When a stain is not among `channels`.
        """
        xp = array_namespace(stains)
        values = {}
        for name in self.params.stains:
            if name not in channels:
                raise UsageError(
                    f"intensity needs the channel {name!r}, but the stains are {', '.join(channels) or 'none'}; "
                    "set quantifier.stains to some of them"
                )
            plane = stains[..., list(channels).index(name), :, :]
            stain = xp.astype(plane, sum_dtype(xp, plane.dtype))
            values[f"{name}_sum"] = xp.sum(stain, axis=(-2, -1))
            values[f"{name}_mean"] = xp.mean(stain, axis=(-2, -1))
            values[f"{name}_area"] = xp.sum(xp.astype(stain > self.params.level, stain.dtype), axis=(-2, -1))
        return values


COMPONENT = Component(
    name="intensity",
    build=Intensity,
    params=IntensityParams,
    summary="Integrated and mean intensity of each stain, and the area above a level.",
)
