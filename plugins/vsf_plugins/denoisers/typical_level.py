"""The level around which most of some pixels lie, to a fraction of a grey level."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vsframework.interfaces import BoolArray

NORMAL_MAD = 1.4826
"""The standard deviation of normal noise over its median absolute deviation."""

ONE_LEVEL = 1.0
"""Neighbouring grey levels are never told apart: on a coarse camera most pixels hold one value, the spread is 0, and
only the share of the pixels on the levels beside it says where between them the background lies."""


def border_of(shape: tuple[int, ...], share: float) -> BoolArray:
    """Mark the outer frame of a patch [H, W], `share` of its side wide and at least one pixel."""
    border = np.ones(shape, dtype=np.bool_)
    height, width = (max(1, round(share * side)) for side in shape)
    border[height : shape[0] - height, width : shape[1] - width] = False
    return border


def in_common(masks: npt.NDArray[np.bool_]) -> BoolArray:
    """Give the pixels [H, W] that are in every one of `masks` [C, H, W], or those of the first if there are none.

    A pixel with light in one stain is no background of the cell, so it does not tell how sure the others' level is.
    """
    common: BoolArray = np.logical_and.reduce(masks, axis=0)
    return common if common.any() else masks[0]


def near_zero(residuals: npt.NDArray[np.floating[Any]], reach: float) -> BoolArray:
    """Mark the `residuals` within `reach` standard deviations of 0, or within one grey level if that is more.

    The standard deviation comes from the median absolute residual, so that a bright half does not widen it.
    """
    distance = np.abs(residuals)
    near: BoolArray = distance <= max(ONE_LEVEL, reach * NORMAL_MAD * float(np.median(distance)))
    return near
