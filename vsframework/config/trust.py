"""``[trust]``: the gates, the intervals, and when no number is given."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_serializer

from vsframework.config.sections import Section, Selection

BUILT_IN = ("focus", "exposure", "background", "black-borders", "head", "distance")


class TrustSection(Section):
    """``[trust]``: what a cell must look like for a number to be given, and how sure that number is."""

    gates: tuple[Selection, ...] = Field(
        tuple(Selection(name=name) for name in BUILT_IN),
        description="Gates that a cell must pass, by name, or as tables with parameters; none for an empty list.",
    )
    false_alarms: float = Field(
        0.05, gt=0, lt=0.5, description="Share of good cells that all gates together may turn away."
    )
    coverage: float = Field(
        0.9, gt=0, lt=1, description="Share of the true values that the intervals are to hold (nominal)."
    )
    exchangeable: Literal["cells", "donors"] = Field(
        "cells",
        description="What a new cell is like: any cell of the calibration donors, or a cell of one more donor like "
        "them, which promises more and needs many donors (9 for 90 %).",
    )

    @field_serializer("gates")
    def _as_written(self, gates: tuple[Selection, ...]) -> list[Any]:
        """Give the gates back as they stand in a TOML file."""
        return [gate.table() if gate.params else gate.name for gate in gates]
