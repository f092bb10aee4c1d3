"""``[baseline]``: what a result is shown beside."""

from __future__ import annotations

from pydantic import Field

from vsframework.config.sections import Section


class BaselineSection(Section):
    """``[baseline]``: the direct regressor that every result is shown beside; the constant is always there."""

    regressor: bool = Field(
        True,
        description="Train the component [regressor] on the training donors' brightfield, and show what it predicts "
        "for the quantifier's first quantity (the DFI).",
    )
    max_cells: int = Field(
        4000, ge=2, description="It learns from at most this many cells, drawn at random: bounds memory and time."
    )
