"""The regressor on measured shape and texture by name (its fitting is in ``head_descriptors_fitting``)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vsframework import Component, Params


class HeadDescriptorsParams(Params):
    """How alike two cells must look to say something about each other, and how much is believed."""

    reach: float = Field(
        1.0,
        gt=0,
        le=100,
        description="Width of the Gaussian kernel, as a share of the typical distance between two cells.",
    )
    ridges: tuple[float, ...] = Field(
        (0.1, 0.3, 1.0, 3.0, 10.0),
        min_length=1,
        description="Strengths of the shrinkage; predictions are averaged over them, because a handful of donors "
        "cannot tell which is best.",
    )


COMPONENT: Component[Any] = Component(
    name="head-descriptors",
    build="vsf_plugins.regressors.head_descriptors_fitting:HeadDescriptors",
    params=HeadDescriptorsParams,
    summary="Kernel ridge regression on the shape, darkness and texture of the head: no network, seconds to fit.",
)
