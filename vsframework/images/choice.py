"""What of a stack, a series or a file of several images makes up one field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vsframework.errors import UsageError, VsfError

ZChoice: TypeAlias = Literal["refuse", "planes", "focus", "max", "mean"]


@dataclass(frozen=True, kw_only=True)
class FieldChoice:
    """What is taken of a file that holds more than one field has.

    Attributes
    ----------
    z
        Of several z planes: ``"refuse"`` them, take all ``"planes"`` as channels, the one in best ``"focus"`` (of each
        channel for itself), or the ``"max"`` or ``"mean"`` over them. A mean of counts is rounded to whole counts.
    time
        Which time point of a series or frame of a movie, counted from 0; None refuses several.
    scene
        Which image of a file that holds several, counted from 0; None refuses several.
    """

    z: ZChoice = "refuse"
    time: int | None = None
    scene: int | None = None

    def time_point(self, path: Path, count: int) -> int:
        """Give the time point to read of `count`.

        Raises
        ------
        VsfError
            When there are several and none was chosen.
        UsageError
            When there is none of that number.
        """
        if self.time is None:
            if count > 1:
                raise VsfError(
                    f"{path} holds {count} time points: say which one, or split it, since one file is one field"
                )
            return 0
        if not 0 <= self.time < count:
            raise UsageError(f"{path} has no time point {self.time}: it holds {count}, counted from 0")
        return self.time

    def check_z(self, path: Path, channels: int, depth: int) -> bool:
        """Say whether the z planes become the channels.

        Raises
        ------
        VsfError
            When there are several planes and they are not wanted, or channels too and both cannot be kept.
        """
        if depth == 1:
            return False
        if self.z == "refuse":
            raise VsfError(
                f"{path} holds {depth} z planes: choose the best focus or a projection (z), or split it, "
                "since one file is one field"
            )
        if self.z == "planes" and channels > 1:
            raise VsfError(
                f"{path} holds {channels} channels of {depth} z planes: choose the best focus or a projection (z), or "
                "split it first, so that one file is one field with its channels"
            )
        return self.z == "planes"

    def project(self, planes: Iterable[npt.NDArray[np.generic]], depth: int) -> npt.NDArray[np.generic]:
        """Give the maximum or mean of `planes` [H, W], one plane in memory at a time."""
        several = iter(planes)
        first = next(several)
        if self.z == "max":
            result: npt.NDArray[np.generic] = first.copy()
            for plane in several:
                np.maximum(result, plane, out=result)
            return result
        total = first.astype(np.float64)
        for plane in several:
            total += plane.astype(np.float64)
        total /= depth
        return (np.rint(total) if first.dtype.kind == "u" else total).astype(first.dtype)


REFUSE = FieldChoice()
"""A file is one field, or an error."""
