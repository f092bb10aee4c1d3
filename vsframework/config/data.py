"""``[data]``, ``[patches]`` and ``[split]``: the images, and whose cells are held out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vsframework.config.sections import Section


class DataSection(Section):
    """``[data]``: what the lab has, and how its files are named."""

    root: str = Field(description="Folder of the raw fields, relative to the experiment file.")
    layout: Literal["pattern", "mccallum-crops"] = Field(
        "pattern", description="How files are found: by a name pattern, or as the crops of McCallum et al. 2019."
    )
    pattern: str = Field(
        "{donor}/{field}_{channel}.tif", description="Where a channel of a field lies: {donor}, {field}, {channel}."
    )
    brightfield: str = Field("BF", description="What stands for {channel} in a brightfield file.")
    stains: tuple[str, ...] = Field(
        ("dsDNA", "ssDNA"),
        min_length=1,
        description="What stands for {channel} in the fluorescence files; the reference stain first.",
    )
    crops: str | None = Field(
        None,
        description="Pattern of brightfield crops, one cell each ({donor}, {field}, {cell}); without it cells are "
        "detected in the brightfield field.",
    )
    labels: str | None = Field(
        None, description="CSV of measured values per cell, relative to root (layout mccallum-crops)."
    )


class PatchesSection(Section):
    """``[patches]``: the geometry of a patch."""

    size: int = Field(256, ge=16, le=4096, description="Side of a patch in pixels (paper: 256).")
    field_px: int = Field(
        150, ge=8, le=4096, description="Side of the square that a detected cell is cut with, in field pixels."
    )


class SplitSection(Section):
    """``[split]``: whose cells are held out."""

    test_donors: tuple[str, ...] = Field((), description="Donors that are never trained on (paper: donor 1).")
    validation_donors: tuple[str, ...] = Field(
        (),
        description="Donors that are not trained on either, and on which training is watched: they choose the best "
        "weights and when to stop (see [validation]). Not in the paper.",
    )

    @model_validator(mode="after")
    def _apart(self) -> SplitSection:
        both = sorted(set(self.test_donors) & set(self.validation_donors))
        if both:
            raise ValueError(
                f"{', '.join(both)} cannot be a test donor and a validation donor: what is chosen on a donor cannot be "
                "judged on it"
            )
        return self

    @property
    def held_out(self) -> tuple[str, ...]:
        """Donors whose cells are never trained on."""
        return (*self.test_donors, *self.validation_donors)
