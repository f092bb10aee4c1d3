"""The real crops with black rotation borders are flagged, and dark heads at the border are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.config import Selection
from vsframework.images import read_image
from vsframework.trust.judging import build_gate
from vsframework.trust.learning import breaks_fixed

pytestmark = pytest.mark.realdata

STATED = 117
"""Crops with black borders by data/INDEX.md, which does not say which."""


@pytest.fixture(scope="module")
def crops(real_data: Path) -> npt.NDArray[np.float32]:
    files = sorted((real_data / "mccallum2019_crops").glob("*.jpg"))
    return np.stack([read_image(file).pixels for file in files]).astype(np.float32)


def test_the_crops_with_black_borders_are_flagged(crops: npt.NDArray[np.float32]) -> None:
    gate = build_gate(Selection(name="black-borders"))
    flagged = breaks_fixed(gate, gate.measure(crops, 255.0))
    assert len(crops) == 1064
    assert abs(int(flagged.sum()) - STATED) <= 3
    planes = crops[:, 0]
    corners = np.stack([planes[:, :3, :3], planes[:, :3, -3:], planes[:, -3:, :3], planes[:, -3:, -3:]], axis=1)
    surely = (corners.max(axis=(2, 3)) <= 5).any(axis=1)  # by another rule: a whole corner of 3x3 px is black
    assert surely.sum() > 90
    assert flagged[surely].all()


def test_a_dark_head_at_the_border_is_no_black_border(crops: npt.NDArray[np.float32]) -> None:
    gate = build_gate(Selection(name="black-borders"))
    flagged = breaks_fixed(gate, gate.measure(crops, 255.0))
    border = np.concatenate([crops[:, 0, 0], crops[:, 0, -1], crops[:, 0, :, 0], crops[:, 0, :, -1]], axis=1)
    dark = (border <= 4).sum(axis=1) >= 3
    assert (dark & ~flagged).sum() > 40  # the trap is real: black pixels at the border alone would flag these too
