"""The targets ``triton``, ``bioimageio`` and ``torch``: what can be set, without importing any of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vsf_export.targets.onnx_params import GraphParams
from vsframework import Component


class TritonParams(GraphParams):
    """How the server batches."""

    model_name: str = Field(
        "virtual_staining", pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", description="Name of the model for its clients."
    )
    queue_delay_us: int = Field(
        2000,
        ge=0,
        le=1_000_000,
        description="How long the server waits for more images to fill a batch.",
        json_schema_extra={"unit": "µs"},
    )


class BioImageParams(GraphParams):
    """What the package says of itself; it holds float32, and its readers hand over float32."""

    precisions: tuple[Literal["fp32"], ...] = Field(("fp32",), description="A package has one set of weights.")

    input: Literal["auto", "float32", "uint8", "uint16"] = Field(
        "float32", description="Brightfield counts as they enter; readers of such packages hand over float32."
    )
    authors: tuple[str, ...] = Field(("unknown",), min_length=1, description="Who trained the model.")
    license: str | None = Field(None, description="SPDX identifier of the licence of the weights; none is stated here.")


class TorchParams(GraphParams):
    """The same as for every target."""


TRITON: Component[Any] = Component(
    name="triton",
    build="vsf_export.targets.triton_repository:TritonTarget",
    params=TritonParams,
    summary="A model repository for NVIDIA Triton: ONNX Runtime, and TensorRT where this machine can build it.",
)

BIOIMAGEIO: Component[Any] = Component(
    name="bioimageio",
    build="vsf_export.targets.bioimageio_package:BioImageTarget",
    params=BioImageParams,
    summary="A BioImage.IO model package, for the software of microscopists.",
)

TORCH: Component[Any] = Component(
    name="torch",
    build="vsf_export.targets.torch_program:TorchTarget",
    params=TorchParams,
    summary="A torch.export program (.pt2): runs in torch without vsframework, and is what AOTInductor compiles.",
)
