"""The hooks of vsf-export: its targets, and the command that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from vsframework import Component, hookimpl


@hookimpl
def vsf_export_targets() -> Sequence[Component[Any]]:
    from vsf_export.targets.onnx_params import COMPONENT

    return [COMPONENT]


@hookimpl
def vsf_commands() -> Sequence[click.Command]:
    from vsf_export.command import command

    return [command]
