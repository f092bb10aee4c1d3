"""Finds sperm heads in a live brightfield frame: dark ovals in a bright halo, and which end the tip is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsf_edge.detectors.frame_planes import FramePlanes, frame_planes
from vsf_edge.detectors.outlines import Floats, Outlines, find_outlines
from vsf_edge.detectors.places import head_places
from vsf_edge.detectors.tips import tip_evidence
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import Detection
from vsf_edge.settings import setting

SHORTEST, LONGEST = 0.68, 1.4
"""Lengths of heads, relative to the typical one."""

SLIMMEST = 2.0
"""Length over width from which it is no head but a piece of tail."""

LEAST_DEPTH = 0.06
"""Depth of a head below the background, relative to the rise of its outline; real heads have 0.09 and more."""


@dataclass(frozen=True, kw_only=True)
class HeadsSettings:
    """What can be set about the detector."""

    contrast: float = setting(
        4.0,
        "Least rise from a head to its halo, in multiples of the noise of a frame shrunk to 50 pixels per head.",
        low=1,
        high=100,
    )
    min_coverage: float = setting(
        0.6,
        "Share of a head's outline that must have that rise (the neck and touching tails have none).",
        low=0.1,
        high=1,
    )


class Heads:
    """Finds heads and their tips; see docs/detection.md for how fast, and how well.

    1. The frame is shrunk by whole numbers, and its background taken off (`frame_planes`).
    2. Places that are darker than what is around them may be heads (`head_places`).
    3. Around all of them at once an ellipse is fitted along which dark meets halo (`find_outlines`).
    4. The tail's end is the darker one, and the one beyond which something goes on (`tip_evidence`).

    A head that the border cuts, or that has no halo along `min_coverage` of its outline, is left out. The score is that
    share, lowered where the halo is weak. The same frame always gives the same heads.

    Parameters
    ----------
    head_length
        Length of a typical head, pixels; 100 in the images of McCallum et al. 2019. Heads of 0.68 to 1.4 times that are
        found.
    contrast
        Least rise from the head to its halo, in multiples of the noise of a frame shrunk to 50 pixels per head.
    min_coverage
        Share of a head's outline, 0 to 1, that must have that rise (the neck and touching tails have none).

    Raises
    ------
    EdgeUsageError
        When a setting is out of range.
    """

    settings = HeadsSettings

    def __init__(self, *, head_length: float = 100.0, contrast: float = 4.0, min_coverage: float = 0.6) -> None:
        for name, value, least, most in (
            ("head_length", head_length, 8, 4000),
            ("contrast", contrast, 1, 100),
            ("min_coverage", min_coverage, 0.1, 1),
        ):
            if not least <= value <= most:
                raise EdgeUsageError(f"{name} of the detector heads is {value:g}; give {least} to {most}")
        self.head_length = head_length
        self.contrast = contrast
        self.min_coverage = min_coverage

    def detect(self, frame: npt.NDArray[np.generic]) -> Sequence[Detection]:
        """Find heads in `frame` [H, W], brightfield, counts of any integer or float dtype; best first.

        Raises
        ------
        EdgeError
            When `frame` is not a single plane.
        """
        if frame.ndim != 2:
            raise EdgeError(f"the detector heads needs one brightfield plane [H, W], not shape {frame.shape}")
        planes = frame_planes(frame, self.head_length)
        if planes is None or not 0 < planes.noise < math.inf:
            return []
        places = head_places(planes)
        if not len(places):
            return []
        outlines = find_outlines(planes, places, self.contrast * planes.noise)
        heads = self._choose(planes, outlines)
        if not len(heads.ellipses):
            return []
        evidence = tip_evidence(planes, heads)
        scores = _scores(heads)
        return [
            Detection(
                x=float((ellipse[0] + 0.5) * planes.factor - 0.5),
                y=float((ellipse[1] + 0.5) * planes.factor - 0.5),
                angle=_direction(float(ellipse[4]), float(tip)),
                length=float(2 * ellipse[2] * planes.factor),
                score=float(score),
            )
            for ellipse, tip, score in zip(heads.ellipses, evidence, scores, strict=True)
        ]

    def _choose(self, planes: FramePlanes, outlines: Outlines) -> Outlines:
        """Keep what is a head, best first, and of those that lie on each other the best one."""
        x, y, half_length, half_width, direction = outlines.ellipses.T
        height, width = planes.reading.shape
        reach_x = np.hypot(half_length * np.cos(direction), half_width * np.sin(direction))
        reach_y = np.hypot(half_length * np.sin(direction), half_width * np.cos(direction))
        good = (outlines.coverage >= self.min_coverage) & (half_length <= SLIMMEST * half_width)
        good &= outlines.depth >= LEAST_DEPTH * outlines.rise
        good &= (half_length >= SHORTEST / 2 * planes.length) & (half_length <= LONGEST / 2 * planes.length)
        good &= (x >= reach_x) & (x <= width - 1 - reach_x) & (y >= reach_y) & (y <= height - 1 - reach_y)
        kept: list[int] = []
        for index in np.argsort(-_scores(outlines), kind="stable"):
            apart = np.hypot(x[kept] - x[index], y[kept] - y[index])
            if good[index] and not (apart < 0.9 * (half_width[kept] + half_width[index])).any():
                kept.append(int(index))
        return Outlines(**{name: values[kept] for name, values in vars(outlines).items()})


def _scores(outlines: Outlines) -> Floats:
    return np.asarray(outlines.coverage * -np.expm1(-outlines.strength))


def _direction(angle: float, tip: float) -> float:
    """Turn `angle` round where `tip` is negative; in (-pi, pi]."""
    if tip < 0:
        angle += math.pi
    return math.pi - (math.pi - angle) % (2 * math.pi)
