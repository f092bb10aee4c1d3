"""From a field to its heads: prepare, seed, outline, decide, and tell the tip from the tail."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from vsf_plugins.detectors.field_relief import FieldRelief, field_relief
from vsf_plugins.detectors.head_outline import Ellipses, Outline, fit_outline, half_extent
from vsf_plugins.detectors.head_seeds import head_seeds
from vsf_plugins.detectors.head_tip import tip_evidence
from vsframework.interfaces import Detection, ImageArray

if TYPE_CHECKING:
    from vsf_plugins.detectors.head_blob import HeadBlobParams


def find_heads(field: ImageArray, params: HeadBlobParams) -> list[Detection]:
    """Find heads in `field` [H, W], finite counts; best first."""
    relief = field_relief(field, math.sqrt(params.min_length * params.max_length))
    if relief is None or relief.noise == 0:
        return []
    return [_detection(relief, outline) for outline in head_outlines(relief, params)]


def head_outlines(relief: FieldRelief, params: HeadBlobParams) -> list[Outline]:
    """Find the outlines of heads in a prepared field, best first; they do not overlap."""
    lengths = (params.min_length * relief.scale, params.max_length * relief.scale)
    rise = params.contrast * relief.noise
    rng = np.random.default_rng(0)  # of the search only: a field must give the same cells each time
    found = [fit_outline(relief, seed, lengths, rise, rng) for seed in head_seeds(relief, lengths, rise)]
    kept: list[Outline] = []
    for outline in sorted((outline for outline in found if outline), key=lambda each: -each.strength):
        if (
            outline.coverage >= params.min_coverage
            and outline.depth >= relief.noise
            and _lies_within(outline.ellipse, relief)
            and not any(_overlap(outline.ellipse, other.ellipse) for other in kept)
        ):
            kept.append(outline)
    return sorted(kept, key=lambda each: -_score(each))


def _detection(relief: FieldRelief, outline: Outline) -> Detection:
    x, y = relief.to_field(float(outline.ellipse[0]), float(outline.ellipse[1]))
    angle = float(outline.ellipse[4])
    if tip_evidence(relief, outline.ellipse) < 0:
        angle += math.pi
    return Detection(
        x=x,
        y=y,
        angle=math.pi - (math.pi - angle) % (2 * math.pi),
        length=2 * float(outline.ellipse[2]) / relief.scale,
        score=_score(outline),
    )


def _score(outline: Outline) -> float:
    return outline.coverage * (1 - math.exp(-outline.strength))


def _lies_within(ellipse: Ellipses, relief: FieldRelief) -> bool:
    height, width = relief.relief.shape
    reach_x, reach_y = half_extent(ellipse)
    return bool(reach_x <= ellipse[0] <= width - 1 - reach_x and reach_y <= ellipse[1] <= height - 1 - reach_y)


def _overlap(one: Ellipses, other: Ellipses) -> bool:
    apart = math.hypot(one[0] - other[0], one[1] - other[1])
    return bool(apart < 0.9 * (one[3] + other[3]))
