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
    brightfield: str | tuple[str, ...] = Field(
        "BF",
        description="What stands for {channel} in a brightfield file; a list for a z stack with one file per plane, in "
        "the order of the planes.",
    )
    pages: int = Field(
        1,
        ge=1,
        le=64,
        description="Planes in one brightfield file: the z planes, pages or channels of a TIFF. The middle one of all "
        "planes is looked at to find and align cells.",
    )
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

    @model_validator(mode="after")
    def _planes_are_told_apart(self) -> DataSection:
        names = self.brightfield_channels
        if not names:
            raise ValueError("data.brightfield is empty: name the channel of the brightfield files")
        channels = (*names, *self.stains)
        twice = sorted({name for name in channels if channels.count(name) > 1})
        if twice:
            raise ValueError(
                f"data.brightfield and data.stains name {', '.join(twice)} twice: a file is one channel of a field"
            )
        if self.layout == "mccallum-crops" and len(self.planes) > 1:
            raise ValueError("data.layout = 'mccallum-crops' has one brightfield plane per cell: name one channel")
        return self

    @property
    def brightfield_channels(self) -> tuple[str, ...]:
        """What stands for {channel} in the brightfield files: one file each."""
        return (self.brightfield,) if isinstance(self.brightfield, str) else self.brightfield

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the brightfield planes in order: of the channels, numbered from 0 where a file holds several.

        >>> DataSection(root=".", brightfield="BF", pages=2).planes
        ('BF-0', 'BF-1')
        """
        names = self.brightfield_channels
        return names if self.pages == 1 else tuple(f"{name}-{page}" for name in names for page in range(self.pages))


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
    calibration_donors: tuple[str, ...] = Field(
        (),
        description="Donors that are used for nothing else than calibrating the intervals (see [trust]); without them "
        "there are gates but no intervals. Not in the paper.",
    )

    @model_validator(mode="after")
    def _apart(self) -> SplitSection:
        test, validation, calibration = map(set, (self.test_donors, self.validation_donors, self.calibration_donors))
        if both := sorted(test & validation):
            raise ValueError(
                f"{', '.join(both)} cannot be a test donor and a validation donor: what is chosen on a donor cannot be "
                "judged on it"
            )
        if both := sorted(test & calibration):
            raise ValueError(
                f"{', '.join(both)} cannot be a test donor and a calibration donor: intervals calibrated on a donor "
                "cannot be judged on it"
            )
        if both := sorted(validation & calibration):
            raise ValueError(
                f"{', '.join(both)} cannot be a validation donor and a calibration donor: it chose the weights, so "
                "its errors are smaller than those of a new donor"
            )
        return self

    @property
    def held_out(self) -> tuple[str, ...]:
        """Donors whose cells are never trained on."""
        return (*self.test_donors, *self.validation_donors, *self.calibration_donors)
