"""What every target writes its graph for, and the target ``onnx``; nothing here imports torch or ONNX."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vsframework import Component, Params

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


class GraphParams(Params):
    """What the graph takes and gives, in which precisions, and how far it may drift."""

    precisions: tuple[Precision, ...] = Field(
        ("fp32", "fp16"),
        min_length=1,
        description="Of the generators' arithmetic; fp32 is the reference and always built. int8 is calibrated on "
        "patches of the training donors.",
    )
    input: Literal["auto", "float32", "uint8", "uint16"] = Field(
        "auto",
        description="Brightfield counts as they enter: the camera's own whole counts (uint8, or uint16 as two bytes, "
        "the lower first), or float32; auto is the smallest whole type that holds the camera's full scale.",
    )
    output: Literal["float32", "uint8", "uint16"] = Field(
        "float32",
        description="Stains as they leave, in counts; whole types are rounded (quantities are measured before).",
    )
    max_side: int = Field(
        0,
        ge=0,
        le=16384,
        description="Largest height and width of a frame, for fully convolutional generators; 0 for patches only.",
        json_schema_extra={"unit": "px"},
    )
    max_batch: int = Field(64, ge=1, le=4096, description="Largest number of images at once.")
    drift_limit: float = Field(
        0.002,
        gt=0,
        le=0.02,
        description="Largest drift from torch of the quantifier's first value (of the DFI: absolute) in any reference "
        "cell; a tenth of the paper's error.",
    )
    opset: int = Field(
        17, ge=17, le=20, description="ONNX operator set: TensorRT 8.6 reads 17, TensorRT 10 and newer 20."
    )


class OnnxParams(GraphParams):
    """The same as for every target."""


COMPONENT: Component[Any] = Component(
    name="onnx",
    build="vsf_export.targets.onnx_graph:OnnxTarget",
    params=OnnxParams,
    summary="ONNX graphs from camera counts to stains and quantities, in a bundle for vsf-edge: the reference.",
)
