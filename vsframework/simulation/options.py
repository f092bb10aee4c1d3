"""What can be set about a simulated study."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vsframework.components import Params

CROP_PX = 150
"""Side of a brightfield crop in pixels (McCallum et al. 2019)."""


class SimulationOptions(Params):
    """Everything that decides the pixels and the truth of a simulated study."""

    donors: int = Field(6, ge=1, le=99, description="Number of donors.")
    fields: int = Field(10, ge=1, le=1000, description="Fields per donor.")
    cells_per_field: float = Field(5.0, ge=1, le=60, description="Cells per field, on average.")
    width: int = Field(1920, ge=256, le=8192, description="Width of a field.", json_schema_extra={"unit": "px"})
    height: int = Field(1080, ge=256, le=8192, description="Height of a field.", json_schema_extra={"unit": "px"})
    bit_depth: Literal[8, 16] = Field(
        8,
        description="Of the camera; at 16 bit every 8-bit grey level has 256 steps.",
        json_schema_extra={"unit": "bit"},
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="The same seed gives the same study.")
    defocus: float = Field(
        1.5,
        ge=0,
        le=5,
        description="How far fields and cells are out of focus (blur).",
        json_schema_extra={"unit": "px"},
    )
    displacement: float = Field(
        4.0,
        ge=0,
        le=20,
        description="Largest shift between brightfield and fluorescence; with it comes a turn of up to 0.05 degrees "
        "and a change of scale of up to 0.05 %. 0 leaves them aligned.",
        json_schema_extra={"unit": "px"},
    )
    background: float = Field(
        3.0,
        ge=0,
        le=50,
        description="Largest background offset of the fluorescence.",
        json_schema_extra={"unit": "8-bit grey levels"},
    )
    debris: float = Field(8.0, ge=0, le=200, description="Particles per field, on average.")
