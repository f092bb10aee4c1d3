"""Tiles of the field, for images in which nothing has to be found: cultures, tissue, any registered pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from vsframework.components import Component, Params
from vsframework.errors import VsfError
from vsframework.interfaces import Detection, ImageArray


class GridParams(Params):
    """How large the tiles are, and how they follow each other."""

    size: int = Field(
        256,
        ge=8,
        le=4096,
        description="Side of a tile; the same as patches.field_px, which is what is cut around its centre.",
        json_schema_extra={"unit": "px"},
    )
    step: int = Field(
        256,
        ge=1,
        le=4096,
        description="From one tile to the next, along rows and columns; less than size for tiles that overlap.",
        json_schema_extra={"unit": "px"},
    )


class Grid:
    """Gives whole tiles in reading order, none rotated, that together cover the field.

    Where the steps do not end at the right or lower border, a last tile is added that does. Tiles in which every pixel
    is the same hold nothing and are left out, and a field smaller than a tile has none. A detection stands in the
    middle of its tile with the angle 0, its length is the side of the tile, and its score is 1: no tile is better than
    another.

    Examples
    --------
    >>> import numpy as np
    >>> field = np.arange(4 * 10).reshape(4, 10)
    >>> tiles = Grid(GridParams.model_construct(size=4, step=4)).detect(field)
    >>> [tile.x for tile in tiles]
    [1.5, 5.5, 7.5]
    """

    def __init__(self, params: GridParams) -> None:
        self.params = params

    def detect(self, field: ImageArray) -> Sequence[Detection]:
        """Give the tiles of `field` [H, W] of any integer or floating dtype.

        Raises
        ------
        VsfError
            When `field` is not a single plane.
        """
        if field.ndim != 2:
            raise VsfError(f"grid needs one brightfield plane [H, W], not an array of shape {field.shape}")
        size = self.params.size
        return [
            Detection(x=left + (size - 1) / 2, y=top + (size - 1) / 2, angle=0.0, length=float(size), score=1.0)
            for top in self._starts(field.shape[0])
            for left in self._starts(field.shape[1])
            if np.ptp(field[top : top + size, left : left + size])
        ]

    def _starts(self, length: int) -> list[int]:
        """Give where tiles begin along a side of `length` pixels."""
        last = length - self.params.size
        if last < 0:
            return []
        starts = list(range(0, last + 1, self.params.step))
        return starts if starts[-1] == last else [*starts, last]


COMPONENT = Component(
    name="grid",
    build=Grid,
    params=GridParams,
    summary="Cuts the field into tiles, for images without single cells to find.",
)
