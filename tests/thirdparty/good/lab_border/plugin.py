"""The denoiser ``lab-border``, and a command."""

from __future__ import annotations

from typing import Any

import click
from pydantic import Field

from vsframework import Component, Params, hookimpl


class BorderParams(Params):
    """How wide the border is."""

    width: int = Field(6, ge=1, le=64, description="Width of the border.", json_schema_extra={"unit": "px"})


@hookimpl
def vsf_denoisers() -> list[Component[Any]]:
    return [
        Component(
            name="lab-border",
            build="lab_border.border:Border",
            params=BorderParams,
            summary="Subtracts the mean of the border.",
        )
    ]


@hookimpl
def vsf_commands() -> list[click.Command]:
    return [click.Command("lab-hello", callback=lambda: click.echo("hello from the lab"), help="Greet.")]
