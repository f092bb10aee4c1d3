"""Aligning a fluorescence field to its brightfield field: a bounded shift, from correlated outlines.

A stained head is bright where brightfield shows a dark rim, so neither features nor intensities compare. Their
outlines do: the magnitude of the gradient, correlated in the Fourier domain with the spectrum partly whitened
(Knapp & Carter 1976, generalised cross-correlation; full whitening is the phase correlation of Kuglin & Hines 1975).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import fft
from scipy.signal.windows import tukey

from vsf_plugins.registrars.acceptance import correlation
from vsf_plugins.registrars.intensities import as_float, problem_with
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

    pixels: npt.NDArray[np.float32]
    outlines: npt.NDArray[np.float32]
    spectra: tuple[npt.NDArray[np.complex64], ...]
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
        fine, coarse = (_outlines(pixels, sigma) for sigma in self._sigmas())
        size = self._size(pixels.shape)
        return Outlines(pixels, fine, (_spectrum(fine, size), _spectrum(coarse, size)), None)

    def register(self, moving: ImageArray, fixed: ImageArray | Outlines) -> Registration:
        """Find the shift of `moving` [h, w] in `fixed` ([H, W], or what `prepare` gave); never raises if unmatched."""
        field = fixed if isinstance(fixed, Outlines) else self.prepare(fixed)
        pixels = as_float(moving)
        for name, problem in (("moving", problem_with(pixels)), ("fixed", field.problem)):
            if problem is not None:
                return _registration((0.0, 0.0), f"the {name} image {problem}")
        if pixels.shape[0] > field.pixels.shape[0] or pixels.shape[1] > field.pixels.shape[1]:
            return _registration((0.0, 0.0), "the moving image is larger than the fixed one")
        size = self._size(field.pixels.shape)
        fine, coarse = (_outlines(pixels, sigma) for sigma in self._sigmas())
        shift, ratio = self._correlate(fine, field.spectra[0], size)
        again, _ = self._correlate(coarse, field.spectra[1], size)
        target = _shifted(field.outlines, shift, pixels.shape)
        similarity = correlation(fine, target)
        agreement = _agreement(fine, target, self.params.sigma)
        problem = self._problem(shift, ratio, again, agreement)
        agree = f"one shift fits {ratio:.1f} times better than all others, and {agreement:.0%} of the outlines meet"
        return _registration(shift, problem, similarity, agree)

    def _problem(
        self, shift: tuple[float, float], ratio: float, again: tuple[float, float], agreement: float
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
        if not agreement >= self.params.min_agreement:
            return f"only {agreement:.0%} of the outlines meet another ({self.params.min_agreement:.0%} needed)"
        return None

    def _sigmas(self) -> tuple[float, float]:
        return self.params.sigma, 2 * self.params.sigma

    def _size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Size of the transform: no shift within the limit may wrap around."""
        rows, columns = (fft.next_fast_len(side + 2 * self.params.max_shift, real=True) for side in shape)
        return int(rows), int(columns)

    def _correlate(
        self, features: npt.NDArray[np.float32], spectrum: npt.NDArray[np.complex64], size: tuple[int, int]
    ) -> tuple[tuple[float, float], float]:
        """Give the best shift (x, y) within the limit, and its height over the best one beyond."""
        cross = spectrum * np.conj(_spectrum(features, size))
        strength = np.abs(cross)
        cross /= np.maximum(strength, 1e-6 * float(strength.max()) + 1e-30) ** self.params.whitening
        surface = np.asarray(fft.irfft2(cross, s=size), dtype=np.float64)
        limit = self.params.max_shift
        surface = np.roll(surface, (limit, limit), axis=(0, 1))
        allowed = surface[: 2 * limit + 1, : 2 * limit + 1].copy()
        y, x = (int(index) for index in np.unravel_index(allowed.argmax(), allowed.shape))
        best = float(allowed[y, x])
        surface[: 2 * limit + 1, : 2 * limit + 1] = -np.inf
        beyond = float(surface.max())
        ratio = best / beyond if beyond > 0 else np.inf if best > 0 else 0.0
        return (x - limit + _vertex(allowed[y, :], x), y - limit + _vertex(allowed[:, x], y)), ratio


def _outlines(pixels: npt.NDArray[np.float32], sigma: float) -> npt.NDArray[np.float32]:
    """Give the gradient magnitude of `pixels` [H, W] after smoothing by `sigma` pixels."""
    smooth = np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), dtype=np.float32)
    return np.asarray(np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)), np.float32)


def _spectrum(features: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.complex64]:
    """Transform `features` without their level, faded out at the rim so that the frame itself shows no outline."""
    fade = np.outer(tukey(features.shape[0], 0.1), tukey(features.shape[1], 0.1)).astype(np.float32)
    return np.asarray(fft.rfft2((features - np.median(features)) * fade, s=size), dtype=np.complex64)


def _agreement(moving: npt.NDArray[np.float32], target: npt.NDArray[np.float32], sigma: float) -> float:
    """Share of the outlines of `moving` [H, W] around which `target` (NaN outside) correlates with it."""
    inside = np.isfinite(target)
    level = np.median(moving)
    noise = np.median(np.abs(moving - level))
    strength = np.where(inside & (moving > level + max(6 * noise, 0.1 * (moving.max() - level))), moving, 0.0)
    window = 2 * round(8 * sigma) + 1  # smaller than a head at the default: each part of it is asked by itself
    a = (moving - level).astype(np.float64)
    b = np.where(inside, target - np.median(target[inside]), 0.0).astype(np.float64) if inside.any() else 0 * a

    def around(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.blur(image, (window, window)), dtype=np.float64)

    mean_a, mean_b = around(a), around(b)
    spread = np.maximum(around(a * a) - mean_a**2, 0) * np.maximum(around(b * b) - mean_b**2, 0)
    meets = around(a * b) - mean_a * mean_b > 0.3 * np.sqrt(spread)
    total = float(strength.sum())
    return float(strength[meets].sum()) / total if total > 0 else 0.0


def _shifted(
    target: npt.NDArray[np.float32], shift: tuple[float, float], shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Sample `target` where `shift` (x, y) puts the pixels of an image [h, w]; NaN outside."""
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (shape[1], shape[0])
    warped = cv2.warpAffine(target, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))
    return np.asarray(warped, dtype=np.float32)


def _vertex(line: npt.NDArray[np.float64], peak: int) -> float:
    """Offset (-0.5 to 0.5) of the parabola through the `peak` of a `line` and its two neighbours."""
    if not 0 < peak < len(line) - 1:
        return 0.0
    before, at, after = (float(value) for value in line[peak - 1 : peak + 2])
    bend = before - 2 * at + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


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
