"""Aligning a fluorescence field to its brightfield field: a bounded shift, from correlated outlines."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import Field

from vsf_plugins.registrars.acceptance import correlation
from vsf_plugins.registrars.intensities import as_float, problem_with
from vsf_plugins.registrars.outlines import (
    Pixels,
    Spectrum,
    agreement,
    best_shift,
    outlines,
    spectrum,
    times_better,
    transform_size,
)
from vsframework import Component, Params
from vsframework.interfaces import ImageArray, Registration


class PhaseCorrelationParams(Params):
    """What ``phase-correlation`` can be told; the defaults align a fluorescence field to its brightfield field."""

    sigma: float = Field(
        2.0,
        gt=0,
        le=50,
        description="Gaussian smoothing before the gradient is taken.",
        json_schema_extra={"unit": "px"},
    )
    whitening: float = Field(
        0.5, ge=0, le=1, description="Power of the whitening: 0 is plain correlation, 1 is phase only."
    )
    max_shift: int = Field(
        20, ge=1, le=1000, description="Longest shift in x and in y.", json_schema_extra={"unit": "px"}
    )
    min_peak_ratio: float = Field(
        1.5, ge=1, description="Best correlation over the best one that lies beyond the allowed shifts."
    )
    max_disagreement: float = Field(
        1.5,
        gt=0,
        le=100,
        description="How far the shift may change when the smoothing is doubled.",
        json_schema_extra={"unit": "px"},
    )
    min_agreement: float = Field(
        0.6, ge=0, le=1, description="Share of the moving outlines that meet an outline of their kind after shifting."
    )


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outlines of a fixed image [H, W], and their spectra at the smoothing asked for and at twice that."""

    pixels: Pixels
    outlines: Pixels
    spectra: tuple[Spectrum, ...]
    problem: str | None


class PhaseCorrelation:
    """Finds the shift between two images of one field in two modalities, and says when they are of two fields.

    The two images are taken to begin at the same corner; the moving one may be smaller, not larger. A shift is
    accepted when no other shift of the whole field fits nearly as well (the correlation beyond `max_shift` is what
    chance gives), when it stays the same at twice the smoothing, and when most outlines of the moving image meet one of
    the fixed image: where fields are small, one cell lies on another by chance, but not all of them do.

    Examples
    --------
    >>> import numpy as np
    >>> from vsf_plugins.registrars.phase_correlation import PhaseCorrelation, PhaseCorrelationParams
    >>> registration = PhaseCorrelation(PhaseCorrelationParams()).register(np.zeros((64, 64)), np.ones((64, 64)))
    >>> registration.accepted, registration.reason
    (False, 'the moving image is constant')
    """

    def __init__(self, params: PhaseCorrelationParams) -> None:
        self.params = params

    def prepare(self, fixed: ImageArray) -> Outlines:
        """Transform `fixed` [H, W], any integer or float dtype, once for several stains."""
        pixels = as_float(fixed)
        problem = problem_with(pixels)
        if problem is not None:
            return Outlines(pixels, pixels, (), problem)
        fine, coarse = (outlines(pixels, sigma) for sigma in self._sigmas())
        size = transform_size(pixels.shape, self.params.max_shift)
        return Outlines(pixels, fine, (spectrum(fine, size), spectrum(coarse, size)), None)

    def register(self, moving: ImageArray, fixed: ImageArray | Outlines) -> Registration:
        """Find the shift of `moving` [h, w] in `fixed` ([H, W], or what `prepare` gave); never raises if unmatched."""
        field = fixed if isinstance(fixed, Outlines) else self.prepare(fixed)
        pixels = as_float(moving)
        for name, problem in (("moving", problem_with(pixels)), ("fixed", field.problem)):
            if problem is not None:
                return _registration((0.0, 0.0), f"the {name} image {problem}")
        if pixels.shape[0] > field.pixels.shape[0] or pixels.shape[1] > field.pixels.shape[1]:
            return _registration((0.0, 0.0), "the moving image is larger than the fixed one")
        size = transform_size(field.pixels.shape, self.params.max_shift)
        fine, coarse = (outlines(pixels, sigma) for sigma in self._sigmas())
        limit, whitening = self.params.max_shift, self.params.whitening
        shift, best, beyond = best_shift(spectrum(fine, size), field.spectra[0], size, limit, whitening)
        again, _, _ = best_shift(spectrum(coarse, size), field.spectra[1], size, limit, whitening)
        ratio = times_better(best, beyond)
        target = _shifted(field.outlines, shift, pixels.shape)
        similarity = correlation(fine, target)
        meeting = agreement(fine, target, self.params.sigma)
        problem = self._problem(shift, ratio, again, meeting)
        agree = f"one shift fits {ratio:.1f} times better than all others, and {meeting:.0%} of the outlines meet"
        return _registration(shift, problem, similarity, agree)

    def _problem(
        self, shift: tuple[float, float], ratio: float, again: tuple[float, float], meeting: float
    ) -> str | None:
        if max(abs(shift[0]), abs(shift[1])) >= self.params.max_shift:
            return f"the best shift reaches the limit of {self.params.max_shift} px"
        if ratio < self.params.min_peak_ratio:
            return (
                f"no shift stands out: the best is {ratio:.2f} times the best beyond the limit "
                f"({self.params.min_peak_ratio:g} needed)"
            )
        change = float(np.hypot(shift[0] - again[0], shift[1] - again[1]))
        if change > self.params.max_disagreement:
            return f"the shift is not stable: it changes by {change:.1f} px when the smoothing is doubled"
        if not meeting >= self.params.min_agreement:
            return f"only {meeting:.0%} of the outlines meet another ({self.params.min_agreement:.0%} needed)"
        return None

    def _sigmas(self) -> tuple[float, float]:
        return self.params.sigma, 2 * self.params.sigma


def _shifted(target: Pixels, shift: tuple[float, float], shape: tuple[int, ...]) -> Pixels:
    """Sample `target` where `shift` (x, y) puts the pixels of an image [h, w]; NaN outside."""
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (shape[1], shape[0])
    warped = cv2.warpAffine(target, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))
    return np.asarray(warped, dtype=np.float32)


def _registration(
    shift: tuple[float, float], problem: str | None, similarity: float = float("nan"), reason: str = ""
) -> Registration:
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]], [0.0, 0.0, 1.0]])
    return Registration(
        matrix=matrix, model="translation", similarity=similarity, accepted=problem is None, reason=problem or reason
    )


COMPONENT = Component(
    name="phase-correlation",
    build=PhaseCorrelation,
    params=PhaseCorrelationParams,
    summary="Aligns a fluorescence field to its brightfield field: a bounded shift from correlated outlines.",
)
