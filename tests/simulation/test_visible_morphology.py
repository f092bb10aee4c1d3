"""Every cue can be read from the brightfield pixels, more of it the stronger it is."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.simulation import optics
from vsframework.simulation.fragmentation import WEIGHTS
from vsframework.simulation.geometry import Floats
from vsframework.simulation.heads import REACH, draw_head, paint_head


def portrait(seed: int, **cues: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Brightfield image and outline of a head with the given cues, everything else the same."""
    rng = np.random.default_rng(seed)
    head = draw_head({**dict.fromkeys(WEIGHTS, 0.0), **cues}, rng)
    maps = paint_head(head, np.random.default_rng(seed + 1))
    empty = np.full(maps.thickness.shape, 128.0)
    return optics.brightfield(maps.thickness, maps.absorption, empty, 0.5), maps.thickness > 0.1


def difference(cue: str, measure: object) -> float:
    """Mean change of `measure` between heads two standard deviations below and above, in their standard deviations."""
    assert callable(measure)
    low = np.array([measure(*portrait(seed, **{cue: -2.0})) for seed in range(25)])
    high = np.array([measure(*portrait(seed, **{cue: 2.0})) for seed in range(25)])
    return float((high.mean() - low.mean()) / math.sqrt((low.var() + high.var()) / 2))


def inner(image: Floats, outline: npt.NDArray[np.bool_]) -> Floats:
    rows, columns = np.nonzero(outline)
    depth = np.hypot((rows - REACH) / 24, (columns - REACH) / 38) < 1
    return np.asarray(image[rows[depth], columns[depth]])


def test_vacuoles_are_bright_spots() -> None:
    assert difference("vacuoles", lambda image, outline: np.mean(inner(image, outline) > 135)) > 1.0


def test_coarse_chromatin_is_texture() -> None:
    def roughness(image: Floats, outline: npt.NDArray[np.bool_]) -> float:
        detail = inner(image - optics.blur(image, 6.0), outline)
        return float(np.median(np.abs(detail - np.median(detail))))  # a vacuole or the cap's edge does not count

    assert difference("chromatin", roughness) > 1.0


def test_a_large_acrosome_lightens_the_front_half() -> None:
    def front(image: Floats, outline: npt.NDArray[np.bool_]) -> float:
        return float(np.median(image[REACH - 15 : REACH + 15, REACH : REACH + 35]))

    assert difference("acrosome", front) > 1.0


def test_an_irregular_head_has_an_uneven_outline() -> None:
    def unevenness(image: Floats, outline: npt.NDArray[np.bool_]) -> float:
        rows, columns = np.nonzero(outline)
        upper = np.array([REACH - rows[columns == column].min() for column in range(REACH - 25, REACH + 26)])
        lower = np.array([rows[columns == column].max() - REACH for column in range(REACH - 25, REACH + 26)])
        return float(np.abs(upper - lower).mean())

    assert difference("shape", unevenness) > 1.0


@pytest.mark.parametrize("cue", WEIGHTS)
def test_each_cue_changes_the_image(cue: str) -> None:
    before, after = portrait(1, **{cue: -1.0})[0], portrait(1, **{cue: 1.0})[0]
    assert np.abs(after - before).max() > 20  # grey levels, ten times the noise
