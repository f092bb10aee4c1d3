"""What my-denoiser is called, what can be set, and where it is built."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from vsframework import Component, Params, hookimpl


class MyDenoiserParams(Params):
    """What can be set, each with its default and bounds."""

    width: int = Field(
        8,
        ge=1,
        le=256,
        description="Width of the border that is taken for background.",
        json_schema_extra={"unit": "px"},
    )


@hookimpl
def vsf_denoisers() -> list[Component[Any]]:
    return [
        Component(
            name="my-denoiser",
            # as text: imported only when it is used
            build="my_denoiser.denoiser:MyDenoiser",
            params=MyDenoiserParams,
            summary="Subtracts the median of the patch's border from every stain.",
        )
    ]
