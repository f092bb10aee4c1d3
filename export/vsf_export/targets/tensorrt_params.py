"""The targets ``tensorrt`` and ``tensorrt-rtx``: what can be set, without importing torch or TensorRT."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vsf_export.targets.onnx_params import GraphParams
from vsframework import Component


class EngineParams(GraphParams):
    """How an engine is built, beyond its graph."""

    optimisation_level: int = Field(
        3, ge=0, le=5, description="How long the builder searches: 0 is fastest to build, 5 fastest to run."
    )
    workspace_mib: int = Field(
        2048,
        ge=16,
        le=1 << 20,
        description="Most memory that a layer may use beside its tensors.",
        json_schema_extra={"unit": "MiB"},
    )
    usual_batch: int = Field(1, ge=1, le=4096, description="Number of images at once that the engine is tuned for.")


class TensorRtParams(EngineParams):
    """An engine for the graphics card of this machine, or for others like it."""

    hardware: Literal["this", "ampere-plus", "same-capability"] = Field(
        "this", description="Cards that the engine runs on: this one, Ampere and newer, or those of its generation."
    )
    version_compatible: bool = Field(
        False, description="Run on newer TensorRT of the same major version too; slower, and larger by a runtime."
    )
    timing_cache: str = Field(
        "", description="File that keeps what the builder measured: a second build is faster and chooses the same."
    )


class TensorRtRtxParams(EngineParams):
    """An engine for RTX cards, built ahead of time."""

    cards: tuple[Literal["sm75", "sm80", "sm86", "sm89", "sm120", "sm121"], ...] = Field(
        ("sm75", "sm86", "sm89", "sm120"),
        min_length=1,
        description="Generations of cards: Turing sm75, Ampere sm80 and sm86, Ada sm89, Blackwell sm120 and sm121.",
    )


TENSORRT: Component[Any] = Component(
    name="tensorrt",
    build="vsf_export.targets.tensorrt_engine:TensorRtTarget",
    params=TensorRtParams,
    summary="TensorRT engines (8.6, 10, 11) for the graphics card of this machine: raw plan and JSON.",
)

TENSORRT_RTX: Component[Any] = Component(
    name="tensorrt-rtx",
    build="vsf_export.targets.tensorrt_rtx:TensorRtRtxTarget",
    params=TensorRtRtxParams,
    summary="TensorRT for RTX: engines for lab PCs with RTX cards, built ahead of time without a card.",
)
