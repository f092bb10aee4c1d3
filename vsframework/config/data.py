"""``[data]``, ``[patches]`` and ``[split]``: the images, and whose cells are held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from vsframework.config.sections import Section

ZChoice = Literal["refuse", "planes", "focus", "max", "mean"]

USUAL_PATTERNS = {
    "multichannel": "{donor}/{field}.*",
    "side-by-side": "{donor}/{field}.*",
    "plate": "{plate}.zarr",
}
"""What ``data.pattern`` is in other layouts, unless it is given."""


class DataSection(Section):
    """``[data]``: what the lab has, and how its files are named."""

    root: str = Field(description="Folder of the raw fields, relative to the experiment file.")
    layout: Literal["pattern", "multichannel", "side-by-side", "plate", "mccallum", "mccallum-crops"] = Field(
        "pattern",
        description="How the fields lie on disk (docs/files.md): one file per channel, one with all channels, pictures "
        "side by side, wells of a plate, the fields of McCallum et al. 2019, or only their crops with measured values.",
    )
    pattern: str = Field(
        "{donor}/{field}_{channel}.tif",
        description="Where a channel of a field lies: {donor}, {field}, {channel}; for plates {plate} and {well}. Its "
        "default is another for some layouts (docs/files.md).",
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
    z: ZChoice = Field(
        "planes",
        description="Of a brightfield file with several z planes: all as the planes of the field (see pages), the one "
        "in best focus, or the maximum or mean over them; refuse: a field has one plane.",
    )
    stain_z: Literal["refuse", "focus", "max", "mean"] = Field(
        "refuse", description="Of a fluorescence file with several z planes: as z."
    )
    time: int | None = Field(
        None, ge=0, description="Time point of a series or frame of a movie to read, counted from 0; none: refuse them."
    )
    scene: int | None = Field(
        None, ge=0, description="Image to read of files that hold several, counted from 0; none: refuse them."
    )
    pixel_size_um: float | None = Field(
        None,
        ge=1e-4,
        le=1e5,
        description="Pixel size of the study in µm; none: that of the first field that knows its own.",
    )
    other_pixel_size: Literal["refuse", "resample"] = Field(
        "refuse",
        description="What happens to an image of another pixel size: its field is refused, or it is resampled to "
        "pixel_size_um, which is recorded.",
    )
    brightfield_side: Literal["left", "right"] = Field(
        "left", description="Where the brightfield is in pictures side by side (layout side-by-side)."
    )
    plate_table: str | None = Field(
        None, description="CSV of the columns well and donor (and plate), relative to root (layout plate)."
    )
    crops: str | None = Field(
        None,
        description="Pattern of brightfield crops, one cell each ({donor}, {field}, {cell}); without it cells are "
        "detected in the brightfield field.",
    )
    labels: str | None = Field(
        None, description="CSV of measured values per cell, relative to root (layout mccallum-crops)."
    )

    @model_validator(mode="before")
    @classmethod
    def _usual_pattern(cls, value: Any) -> Any:
        """Give every layout the pattern that its files usually have."""
        if isinstance(value, Mapping) and "pattern" not in value and value.get("layout") in USUAL_PATTERNS:
            return {**value, "pattern": USUAL_PATTERNS[value["layout"]]}
        return value

    @model_validator(mode="after")
    def _layout_has_what_it_needs(self) -> DataSection:
        if self.layout == "plate" and not self.plate_table:
            raise ValueError("data.layout = 'plate' needs data.plate_table: a CSV of the columns well and donor")
        if self.other_pixel_size == "resample" and self.pixel_size_um is None:
            raise ValueError("data.other_pixel_size = 'resample' needs data.pixel_size_um: what to resample to")
        if self.z != "planes" and self.pages > 1:
            raise ValueError(f"data.z = {self.z!r} makes one plane of a file, so data.pages must be 1")
        return self

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
