"""The report's plots, as SVG that stands inside a page.

``style``: how they all look. ``donors``, ``agreement``, ``pixels``, ``curves``, ``abstention``: a file per question.
"""

from vsframework.evaluation.figures.abstention import donor_coverage, risk_coverage_curve
from vsframework.evaluation.figures.agreement import bland_altman, calibration, scatter
from vsframework.evaluation.figures.curves import training_curves
from vsframework.evaluation.figures.donors import donor_errors
from vsframework.evaluation.figures.pixels import pixel_histogram
from vsframework.evaluation.figures.style import STYLE, to_svg

__all__ = [
    "STYLE",
    "bland_altman",
    "calibration",
    "donor_coverage",
    "donor_errors",
    "pixel_histogram",
    "risk_coverage_curve",
    "scatter",
    "to_svg",
    "training_curves",
]
