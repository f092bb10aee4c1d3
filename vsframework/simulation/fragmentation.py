"""How fragmented the DNA of a cell is, and how much of that its morphology shows.

The log of a cell's DFI is a constant, plus a weighted sum of four cues that are drawn into the brightfield image, plus
a remainder that nothing in the image shows::

    log dfi = log MEDIAN_DFI + sum(WEIGHTS[cue] * cue) + remainder

Cues and remainder both have a part that all cells of a donor share, so donors differ in a way that is only partly
visible. The remainder is skewed to the right, as measured DFIs are, and its median is exactly 0: the visible part alone
is therefore the prediction with the smallest expected absolute error, whoever makes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from numpy.random import Generator

MEDIAN_DFI = 0.093
"""Over all 1064 cells of McCallum et al. 2019: 0.0926."""

LOWEST_DFI, HIGHEST_DFI = 0.04, 0.4

WEIGHTS: Mapping[str, float] = {"vacuoles": 0.11, "acrosome": -0.09, "chromatin": 0.08, "shape": 0.07}
"""Change of log DFI per standard deviation of a cue: vacuole area, acrosome extent, coarseness of the chromatin, and
irregularity of the outline."""

DONOR_CUE_SD = 0.6
"""How far donors differ in each cue, in standard deviations of the cells of one donor."""

REMAINDER_SD = 0.18
REMAINDER_SKEW = 0.55
DONOR_SHARE = 0.25
"""Share of the remainder's variance that the cells of a donor have in common."""


@dataclass(frozen=True)
class Donor:
    """What the cells of one donor share.

    Attributes
    ----------
    name
        ``donor1``, ``donor2``, ...
    cues
        Mean of each cue, in standard deviations.
    remainder
        Standard normal: the donor's part of the DFI that no image shows.
    staining
        Brightness of the stains relative to the average donor.
    """

    name: str
    cues: Mapping[str, float]
    remainder: float
    staining: float


@dataclass(frozen=True)
class Fragmentation:
    """The DFI of one cell (`dfi`) and the best prediction of it from the morphology (`visible`); both are ratios.

    `visible` is the median of the DFI among all cells of all donors that look like this one.
    """

    dfi: float
    visible: float


def draw_donor(name: str, rng: Generator) -> Donor:
    """Draw a donor."""
    cues = {cue: DONOR_CUE_SD * float(rng.standard_normal()) for cue in WEIGHTS}
    return Donor(name, cues, float(rng.standard_normal()), math.exp(0.08 * float(rng.standard_normal())))


def draw_cues(donor: Donor, rng: Generator) -> dict[str, float]:
    """Draw the cues of one cell, in standard deviations."""
    return {cue: mean + float(rng.standard_normal()) for cue, mean in donor.cues.items()}


def draw_fragmentation(donor: Donor, cues: Mapping[str, float], rng: Generator) -> Fragmentation:
    """Draw the DFI of a cell that shows `cues`."""
    visible = MEDIAN_DFI * math.exp(sum(weight * cues[cue] for cue, weight in WEIGHTS.items()))
    normal = math.sqrt(DONOR_SHARE) * donor.remainder + math.sqrt(1 - DONOR_SHARE) * float(rng.standard_normal())
    remainder = REMAINDER_SD * math.expm1(REMAINDER_SKEW * normal) / REMAINDER_SKEW  # monotonic, 0 at the median
    return Fragmentation(_bounded(visible * math.exp(remainder)), _bounded(visible))


def _bounded(dfi: float) -> float:
    """Hold a DFI in the measured range (monotonic, so medians stay medians); rounded as it is written to disk."""
    return round(min(max(dfi, LOWEST_DFI), HIGHEST_DFI), 6)
