"""The small direct regressor by name (its network and training are in ``small_cnn_training``)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vsframework import Component, Params


class SmallCnnParams(Params):
    """Its size, and how long it learns: well under a minute per 900 cells on one core."""

    size: int = Field(
        75, ge=16, le=512, description="Side that patches are shrunk to.", json_schema_extra={"unit": "px"}
    )
    width: int = Field(16, ge=4, le=128, description="Filters of the first convolution, doubled by the next two.")
    epochs: int = Field(25, ge=1, le=1000, description="Passes over the training cells.")
    batch_size: int = Field(32, ge=2, le=1024, description="Cells per step.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Of Adam, falling along a cosine to 0.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of the features left out at each training step.")
    mirror: bool = Field(
        True, description="Mirror training patches top-bottom at random (cells lie with the tip to the right)."
    )
    device: str = Field("cpu", min_length=1, description="Of torch: cpu, cuda, cuda:1, mps.")


COMPONENT: Component[Any] = Component(
    name="small-cnn",
    build="vsf_plugins.regressors.small_cnn_training:SmallCnn",
    params=SmallCnnParams,
    summary="A small convolutional network from brightfield to the quantity, as in the original study.",
)
