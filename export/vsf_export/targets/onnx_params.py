"""The target ``onnx``: what can be set, without importing torch or ONNX."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vsframework import Component, Params


class OnnxParams(Params):
    """What the graph is written for."""

    opset: int = Field(
        20, ge=18, le=23, description="ONNX operator set; 20 is read by ONNX Runtime 1.17 and OpenVINO 2024 and newer."
    )


COMPONENT: Component[Any] = Component(
    name="onnx",
    build="vsf_export.targets.onnx_graph:OnnxTarget",
    params=OnnxParams,
    summary="One ONNX graph from brightfield counts to stains and quantities, in a bundle for vsf-edge.",
)
