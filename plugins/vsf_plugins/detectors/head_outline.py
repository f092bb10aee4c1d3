"""The outline of a head: the ellipse along which a dark inside meets the bright halo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsf_plugins.detectors.field_relief import WORKING_LENGTH, FieldRelief

Ellipses = npt.NDArray[np.float64]
"""[N, 5]: centre x and y, half length, half width (working pixels), direction of the long axis (radians)."""

POINTS = 48
INSIDE, HALO = (-3.0, -1.5), (2.0, 3.5)
"""Where the inside and the halo are read, in working pixels outwards from the outline."""

ROUNDEST, LONGEST = 1.08, 1.9
"""Length over width of a head: rounder has no direction, longer is a piece of tail."""

SAMPLES, BEST, ROUNDS = 96, 14, 8
"""Of the search: ellipses per round, how many of them shape the next round, rounds."""


@dataclass(frozen=True)
class Outline:
    """An ellipse in working pixels and how well it is a head's outline.

    Attributes
    ----------
    ellipse
        float64 [5], as in `Ellipses`.
    strength
        Mean logarithm of the rise from inside to halo, in units of what counts as one.
    coverage
        Share of the outline, 0 to 1, that has such a rise to something brighter than the background.
    depth
        How far the inside lies below the background, counts; negative for a loop of tail around empty field.
    """

    ellipse: Ellipses
    strength: float
    coverage: float
    depth: float


def fit_outline(
    relief: FieldRelief, seed: Ellipses, lengths: tuple[float, float], rise: float, rng: np.random.Generator
) -> Outline | None:
    """Search for the outline of a head near `seed` [5]; None where no ellipse is one.

    Parameters
    ----------
    lengths
        Shortest and longest head, working pixels.
    rise
        Counts from inside to halo that count as an outline.
    rng
        Draws the ellipses that are tried (cross-entropy method): from the seed as it is, and from a typical head
        lying along it and across it, because a seed may be only the dark half of a head.
    """
    x, y, _, _, angle = seed
    typical = (0.48 * WORKING_LENGTH, 0.34 * WORKING_LENGTH)
    best_ellipse, best_strength = seed, 0.0
    for start in (seed, np.array([x, y, *typical, angle]), np.array([x, y, *typical, angle + np.pi / 2])):
        centre, spread = start, np.array([5.0, 5.0, 5.0, 4.0, 0.4])
        for _ in range(ROUNDS):
            tried = centre + spread * rng.standard_normal((SAMPLES, 5))
            tried[0] = centre
            strengths = _strengths(relief, tried, lengths, rise)
            order = np.argsort(-strengths)[:BEST]
            if strengths[order[0]] <= 0:
                break
            if strengths[order[0]] > best_strength:
                best_ellipse, best_strength = tried[order[0]], float(strengths[order[0]])
            centre = tried[order].mean(axis=0)
            spread = np.maximum(1.1 * tried[order].std(axis=0), [0.1, 0.1, 0.1, 0.1, 0.01])
    if best_strength <= 0:
        return None
    coverage = outline_coverage(relief, best_ellipse, rise)
    return Outline(best_ellipse, best_strength, coverage, _depth(relief, best_ellipse))


def outline_coverage(relief: FieldRelief, ellipse: Ellipses, rise: float) -> float:
    """Give the share, 0 to 1, of `ellipse` [5] that rises by `rise` counts to something brighter than background."""
    inside, halo = _across(relief, ellipse[None])
    return float(((halo - inside > rise) & (halo > 0)).mean())


def half_extent(ellipse: Ellipses) -> tuple[float, float]:
    """Give half the width and height of the upright box around `ellipse` [5], working pixels."""
    _, _, length, width, angle = ellipse
    along, across = np.cos(angle), np.sin(angle)
    return float(np.hypot(length * along, width * across)), float(np.hypot(length * across, width * along))


def _depth(relief: FieldRelief, ellipse: Ellipses) -> float:
    x, y, length, width, angle = ellipse
    turn, share = np.linspace(0, 2 * np.pi, 24, endpoint=False), np.array([[0.15], [0.3], [0.45], [0.6], [0.7]])
    along, across = share * length * np.cos(turn), share * width * np.sin(turn)
    inside = relief.sample_relief(
        x + along * np.cos(angle) - across * np.sin(angle), y + along * np.sin(angle) + across * np.cos(angle)
    )
    return -float(inside.mean())


def _strengths(
    relief: FieldRelief, ellipses: Ellipses, lengths: tuple[float, float], rise: float
) -> npt.NDArray[np.float64]:
    inside, halo = _across(relief, ellipses)
    # A bright halo says more than a dark inside: the border between the two halves of a head is no outline.
    step = np.clip(np.minimum(halo - inside, 2 * halo + rise), 0, None)
    strengths: npt.NDArray[np.float64] = np.log1p(step / rise).mean(axis=1)
    length, width = ellipses[:, 2], ellipses[:, 3]
    possible = (2 * length >= lengths[0]) & (2 * length <= lengths[1])
    possible &= (length >= ROUNDEST * width) & (length <= LONGEST * width)
    return np.where(possible, strengths, -1.0)


def _across(relief: FieldRelief, ellipses: Ellipses) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Read the counts just inside and just outside of `ellipses` [N, 5]; two arrays [N, POINTS]."""
    turn = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    x, y, length, width, angle = (column[None, :, None] for column in ellipses.T)
    outwards = np.array([*INSIDE, *HALO])[:, None, None]
    along, across = (length + outwards) * np.cos(turn), (width + outwards) * np.sin(turn)
    columns = x + along * np.cos(angle) - across * np.sin(angle)
    rows = y + along * np.sin(angle) + across * np.cos(angle)
    values = relief.sample_relief(columns.reshape(-1, POINTS), rows.reshape(-1, POINTS))
    profile = values.reshape(columns.shape).astype(np.float64)
    return profile[: len(INSIDE)].mean(axis=0), profile[len(INSIDE) :].max(axis=0)
