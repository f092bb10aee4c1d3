"""The target ``openvino``: what can be set, without importing torch or OpenVINO."""

from __future__ import annotations

from typing import Any

from vsf_export.targets.onnx_params import GraphParams
from vsframework import Component


class OpenVinoParams(GraphParams):
    """The same as for every target."""


COMPONENT: Component[Any] = Component(
    name="openvino",
    build="vsf_export.targets.openvino_ir:OpenVinoTarget",
    params=OpenVinoParams,
    summary="OpenVINO IR (.xml and .bin) per precision, for Intel processors and graphics.",
)
