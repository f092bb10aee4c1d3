"""The regressor that learns deviations from the donor by name (its fitting is in ``deviation_ensemble_fitting``)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vsframework import Component, Params


class DeviationEnsembleParams(Params):
    """The networks beside the descriptors: under a minute for 900 cells on one core."""

    networks: int = Field(1, ge=0, le=50, description="Small networks, each from other initial weights.")
    size: int = Field(
        48, ge=16, le=512, description="Side that patches are shrunk to for them.", json_schema_extra={"unit": "px"}
    )
    kept: float = Field(
        0.88, gt=0.1, le=1, description="Share of a patch's height and width that they see: the head, not neighbours."
    )
    epochs: int = Field(20, ge=1, le=1000, description="Passes over the training cells.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of the features left out at each training step.")


COMPONENT: Component[Any] = Component(
    name="deviation-ensemble",
    build="vsf_plugins.regressors.deviation_ensemble_fitting:DeviationEnsemble",
    params=DeviationEnsembleParams,
    summary="How a cell differs from its donor's others: the mean of head-descriptors and small networks.",
)
