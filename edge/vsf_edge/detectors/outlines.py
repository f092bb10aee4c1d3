"""The outlines of heads: near each place, the ellipse along which a dark inside meets a bright halo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vsf_edge.detectors.frame_planes import FramePlanes

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

POINTS = 36
TURN = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)

INSIDE, HALO = (-3, -2), (2, 3)
"""Where the inside and the halo are read across an outline, in fiftieths of a head length outwards from it."""

RING_ROUNDS, ELLIPSE_ROUNDS, ROBUST_ROUNDS = 2, 2, 2

USUAL_RADIUS, RADIUS_SPREAD = 0.43, 0.13
"""Distance of the outline from the middle of a head, in head lengths."""

OFF_RING, OFF_ELLIPSE = 0.04, 0.03
"""A point of the outline that is this far off (head lengths) counts half: a neck, or another head."""


@dataclass(frozen=True)
class Outlines:
    """Ellipses and how well each is the outline of a head.

    Attributes
    ----------
    ellipses
        float64 [N, 5]: middle x and y, half length, half width (pixels of `reading`), direction of the long axis.
    coverage
        float64 [N]: share of the outline, 0 to 1, that rises enough from the inside to something brighter than the
        background.
    strength
        float64 [N]: mean logarithm of 1 + that rise, in units of what is enough.
    rise
        float64 [N]: median rise along the outline, counts; at least what is enough.
    depth
        float64 [N]: how far the inside lies below the background, counts; about 0 for a loop of tail.
    """

    ellipses: Floats
    coverage: Floats
    strength: Floats
    rise: Floats
    depth: Floats


def find_outlines(planes: FramePlanes, places: Floats, enough: float) -> Outlines:
    """Find the outline around each of `places` [N, 2]; a rise of `enough` counts makes one."""
    ellipses = _ellipses_from_rings(planes, places, enough)
    for _ in range(ELLIPSE_ROUNDS):
        ellipses, rises = _fit_ellipses(planes, ellipses, enough)
    return Outlines(
        ellipses=ellipses,
        coverage=(rises >= enough).mean(axis=1),
        strength=np.log1p(rises / enough).mean(axis=1),
        rise=np.maximum(np.median(rises, axis=1), enough),
        depth=_depths(planes, ellipses),
    )


def _ellipses_from_rings(planes: FramePlanes, places: Floats, enough: float) -> Floats:
    """Look outwards from each place, and fit radius, middle and elongation (the first terms of a Fourier series)."""
    length = planes.length
    radii = np.arange(0.16, 0.86, 0.02) * length
    steps = radii[-INSIDE[0] : -HALO[1]]
    usual = np.exp(-0.5 * ((steps / length - USUAL_RADIUS) / RADIUS_SPREAD) ** 2).astype(np.float32)
    ray_x, ray_y = ((turn[:, None] * radii).astype(np.float32) for turn in (np.cos(TURN), np.sin(TURN)))
    terms = np.stack([np.ones(POINTS), np.cos(TURN), np.sin(TURN), np.cos(2 * TURN), np.sin(2 * TURN)], axis=1)
    middles = places
    for _ in range(RING_ROUNDS):
        middle_x, middle_y = middles.T.astype(np.float32)[:, :, None, None]
        x, y = middle_x + ray_x, middle_y + ray_y
        evidence = np.log1p(_rises(planes.relief(x, y), enough) / enough) * usual
        best = evidence.argmax(axis=2)
        weights = np.take_along_axis(evidence, best[..., None], axis=2)[..., 0]
        series = _fit(np.broadcast_to(terms, (len(places), *terms.shape)), steps[best], weights, OFF_RING * length)
        middles = middles + np.clip(series[:, 1:3], -0.25 * length, 0.25 * length)
    radius, elongation = series[:, 0], np.hypot(series[:, 3], series[:, 4])
    direction = 0.5 * np.arctan2(series[:, 4], series[:, 3])
    return _as_ellipses(planes, np.column_stack([middles, radius + elongation, radius - elongation, direction]))


def _fit_ellipses(planes: FramePlanes, ellipses: Floats, enough: float) -> tuple[Floats, Floats]:
    """Move every ellipse to the strongest rises near it; give also the rises [N, POINTS] where it was."""
    length = planes.length
    offsets = np.arange(-10, 11) * 0.02 * length
    steps = offsets[-INSIDE[0] : -HALO[1]]
    _, _, half_length, half_width, direction = (column[:, None] for column in ellipses.T)
    along, across = half_length * np.cos(TURN), half_width * np.sin(TURN)
    normal_along, normal_across = half_width * np.cos(TURN), half_length * np.sin(TURN)
    norm = np.hypot(normal_along, normal_across)
    normal_along, normal_across = normal_along / norm, normal_across / norm
    cosine, sine = np.cos(direction), np.sin(direction)
    # the points and their normals are turned into place; only reading along them is much work
    start_x = ellipses[:, :1] + along * cosine - across * sine
    start_y = ellipses[:, 1:2] + along * sine + across * cosine
    step_x, step_y = normal_along * cosine - normal_across * sine, normal_along * sine + normal_across * cosine
    columns, rows = (
        start.astype(np.float32)[..., None] + step.astype(np.float32)[..., None] * offsets.astype(np.float32)
        for start, step in ((start_x, step_x), (start_y, step_y))
    )
    rises = _rises(planes.relief(columns, rows), enough)
    evidence = np.log1p(rises / enough) * np.exp(-0.5 * (steps / (0.09 * length)) ** 2).astype(np.float32)
    best = evidence.argmax(axis=2)
    weights = np.take_along_axis(evidence, best[..., None], axis=2)[..., 0]
    # how far a point of the outline moves outwards with each of: middle (2), half length, half width, direction
    moves = np.stack(
        [
            normal_along,
            normal_across,
            np.cos(TURN) * normal_along,
            np.sin(TURN) * normal_across,
            along * normal_across - across * normal_along,
        ],
        axis=2,
    )
    shift = _fit(moves, steps[best], weights, OFF_ELLIPSE * length)
    moved = ellipses.copy()
    moved[:, 0] += shift[:, 0] * cosine[:, 0] - shift[:, 1] * sine[:, 0]
    moved[:, 1] += shift[:, 0] * sine[:, 0] + shift[:, 1] * cosine[:, 0]
    moved[:, 2:4] += shift[:, 2:4]
    moved[:, 4] += np.clip(shift[:, 4], -0.5, 0.5)
    near = np.abs(steps) < 0.07 * length
    return _as_ellipses(planes, moved), rises[:, :, near].max(axis=2)


def _depths(planes: FramePlanes, ellipses: Floats) -> Floats:
    x, y, half_length, half_width, direction = (column[:, None, None] for column in ellipses.T)
    turn, share = TURN[::2], np.array([[0.2], [0.45], [0.7]])
    along, across = share * half_length * np.cos(turn), share * half_width * np.sin(turn)
    cosine, sine = np.cos(direction), np.sin(direction)
    inside = planes.relief(x + along * cosine - across * sine, y + along * sine + across * cosine)
    return np.asarray(-inside.mean(axis=(1, 2)))


def _rises(profiles: Floats, enough: float) -> Floats:
    """Give the rise at every place but the ends of `profiles` [..., M], read from the inside outwards: [..., M - 6].

    A bright halo says more than a dark inside: an edge within a head is no outline.
    """
    count = profiles.shape[-1] - HALO[1] + INSIDE[0]

    def at(offset: int) -> Floats:
        return profiles[..., offset - INSIDE[0] :][..., :count]

    inside, halo = (at(INSIDE[0]) + at(INSIDE[1])) / 2, np.maximum(at(HALO[0]), at(HALO[1]))
    return np.maximum(np.minimum(halo - inside, 2 * halo + enough), 0)


def _fit(terms: Floats, values: Floats, weights: Floats, off: float) -> Floats:
    """Fit `values` [N, P] by `terms` [N, P, T]: [N, T]; points that are over `off` away lose their weight."""
    columns, count = np.concatenate([terms, values[..., None]], axis=2), terms.shape[2]
    turned, steady = terms.transpose(0, 2, 1), np.eye(count) * 1e-2
    fitted = _solve(turned * weights[:, None], columns, steady)
    for _ in range(ROBUST_ROUNDS):
        off_by = (values - np.matmul(terms, fitted)[..., 0]) / off
        fitted = _solve(turned * (weights / (1 + off_by * off_by))[:, None], columns, steady)
    return np.asarray(fitted[..., 0])


def _solve(weighted: Floats, columns: Floats, steady: Floats) -> Floats:
    """Solve the normal equations of `weighted` [N, T, P] with `columns` [N, P, T + 1], the last of which is fitted."""
    sums = np.matmul(weighted, columns)
    return np.asarray(np.linalg.solve(sums[..., :-1] + steady, sums[..., -1:]))


def _as_ellipses(planes: FramePlanes, ellipses: Floats) -> Floats:
    """Keep half axes possible, and the longer one first."""
    half = np.clip(ellipses[:, 2:4], 0.15 * planes.length, 0.9 * planes.length)
    turned = half[:, 1] > half[:, 0]
    direction = ellipses[:, 4] + np.where(turned, np.pi / 2, 0)
    return np.column_stack([ellipses[:, :2], half.max(axis=1), half.min(axis=1), direction])
