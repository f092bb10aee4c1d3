"""The hooks of vsf-export: its targets, and the command that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from vsframework import Component, hookimpl


@hookimpl
def vsf_export_targets() -> Sequence[Component[Any]]:
    from vsf_export.targets import onnx_params, openvino_params, serving_params, tensorrt_params

    return [
        onnx_params.COMPONENT,
        openvino_params.COMPONENT,
        tensorrt_params.TENSORRT,
        tensorrt_params.TENSORRT_RTX,
        serving_params.TRITON,
        serving_params.BIOIMAGEIO,
        serving_params.TORCH,
    ]


@hookimpl
def vsf_commands() -> Sequence[click.Command]:
    from vsf_export.command import command

    return [command]
