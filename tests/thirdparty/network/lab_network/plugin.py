"""The generator ``lab-network``."""

from __future__ import annotations

from typing import Any

from vsframework import Component, Params, hookimpl


@hookimpl
def vsf_generators() -> list[Component[Any]]:
    return [
        Component(
            name="lab-network", build="lab_network.network:LabNetwork", params=Params, summary="Two convolutions."
        )
    ]
