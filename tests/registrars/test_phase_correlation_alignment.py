"""``phase-correlation`` aligns what does not look alike, within its bound, and refuses what is of another field."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsf_plugins.registrars.phase_correlation import PhaseCorrelation, PhaseCorrelationParams

Floats = npt.NDArray[np.float64]


def two_modalities(shift: tuple[float, float], seed: int, height: int = 360, width: int = 420) -> tuple[Floats, Floats]:
    """Heads with a dark inside and a bright rim, and the same heads shining on black, `shift` (x, y) away."""
    rng = np.random.default_rng(seed)
    heads = np.zeros((height, width))
    stain = np.zeros((height, width))
    moved = np.array([[1.0, 0.0, -shift[0]], [0.0, 1.0, -shift[1]]])
    for _ in range(8):
        ellipse = ((rng.uniform(50, width - 50), rng.uniform(50, height - 50)), (50, 34), float(rng.uniform(0, 360)))
        cv2.ellipse(heads, ellipse, 1.0, -1)
        cv2.ellipse(stain, ellipse, float(rng.uniform(0.4, 1.0)), -1)
    heads, stain = (cv2.GaussianBlur(image, (0, 0), 2) for image in (heads, stain))
    brightfield = 120 - 60 * heads + 50 * (cv2.GaussianBlur(heads, (0, 0), 4) - heads) + rng.normal(0, 2, heads.shape)
    stain = 120 * cv2.warpAffine(stain, moved, (width, height), flags=cv2.INTER_CUBIC)
    return np.clip(brightfield, 0, 255), rng.poisson(np.clip(stain, 0, None) + 3).astype(float)


@settings(max_examples=12, deadline=None)
@given(x=st.floats(-15, 15), y=st.floats(-15, 15), seed=st.integers(0, 1000))
def test_a_shift_between_two_modalities_is_found_to_half_a_pixel(x: float, y: float, seed: int) -> None:
    brightfield, stain = two_modalities((x, y), seed)
    registration = PhaseCorrelation(PhaseCorrelationParams()).register(
        stain.astype(np.uint8), brightfield.astype(np.uint8)
    )
    assert registration.accepted, registration.reason
    assert registration.model == "translation"
    np.testing.assert_allclose(registration.matrix[:2, 2], [x, y], atol=0.5)
    np.testing.assert_array_equal(registration.matrix[:2, :2], np.eye(2))


@pytest.mark.parametrize(("dtype", "scale"), [("uint8", 1.0), ("uint16", 200.0), ("float32", 0.01)])
def test_any_camera_gives_the_same_shift(dtype: str, scale: float) -> None:
    brightfield, stain = ((image * scale).astype(dtype) for image in two_modalities((4.0, -7.0), 1))
    registration = PhaseCorrelation(PhaseCorrelationParams()).register(stain, brightfield)
    assert registration.accepted, registration.reason
    np.testing.assert_allclose(registration.matrix[:2, 2], [4.0, -7.0], atol=0.5)


def test_a_shift_beyond_the_bound_is_refused_and_a_wider_bound_finds_it() -> None:
    brightfield, stain = two_modalities((14.0, 3.0), 2)
    narrow = PhaseCorrelation(PhaseCorrelationParams(max_shift=8)).register(stain, brightfield)
    assert not narrow.accepted
    wide = PhaseCorrelation(PhaseCorrelationParams(max_shift=30)).register(stain, brightfield)
    assert wide.accepted, wide.reason
    np.testing.assert_allclose(wide.matrix[:2, 2], [14.0, 3.0], atol=0.5)


def test_a_dark_border_of_the_camera_does_not_pull_the_shift_to_zero() -> None:
    brightfield, stain = two_modalities((6.0, -5.0), 3)
    for image in (brightfield, stain):
        image[:4], image[-4:], image[:, :4], image[:, -4:] = 0, 0, 0, 0
    registration = PhaseCorrelation(PhaseCorrelationParams()).register(stain, brightfield)
    assert registration.accepted, registration.reason
    np.testing.assert_allclose(registration.matrix[:2, 2], [6.0, -5.0], atol=0.5)


def test_a_smaller_image_that_begins_at_the_same_corner_is_aligned() -> None:
    brightfield, stain = two_modalities((5.0, 2.0), 4)
    registration = PhaseCorrelation(PhaseCorrelationParams()).register(stain[:300, :380], brightfield)
    assert registration.accepted, registration.reason
    np.testing.assert_allclose(registration.matrix[:2, 2], [5.0, 2.0], atol=0.5)


@pytest.mark.parametrize(
    ("moving", "reason"),
    [
        (np.zeros((360, 420)), "constant"),
        (np.full((360, 420), np.inf), "not finite"),
        (np.eye(5), "too small"),
        (np.random.default_rng(0).normal(size=(500, 500)), "larger"),
    ],
)
def test_what_cannot_be_aligned_is_refused_with_the_reason(moving: Floats, reason: str) -> None:
    registrar = PhaseCorrelation(PhaseCorrelationParams())
    registration = registrar.register(moving, registrar.prepare(two_modalities((0.0, 0.0), 5)[0]))
    assert not registration.accepted
    assert reason in registration.reason
    assert np.isfinite(registration.matrix).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_stain_of_another_field_is_refused(seed: int) -> None:
    registrar = PhaseCorrelation(PhaseCorrelationParams())
    registration = registrar.register(two_modalities((0.0, 0.0), seed)[1], two_modalities((0.0, 0.0), seed + 100)[0])
    assert not registration.accepted


def test_one_cell_on_another_by_chance_is_not_a_field() -> None:
    def field(shapes: list[tuple[int, int, int, int, int]], seed: int) -> Floats:
        image = np.zeros((300, 340))
        for x, y, length, width, angle in shapes:
            cv2.ellipse(image, ((x, y), (length, width), angle), 1.0, -1)
        return cv2.GaussianBlur(image, (0, 0), 2) + 0.01 * np.random.default_rng(seed).normal(size=image.shape)

    fixed = field([(80, 80, 60, 40, 20), (250, 90, 90, 20, 160), (150, 220, 45, 45, 0)], 1)
    other = field([(86, 76, 60, 40, 20), (180, 140, 60, 25, 75), (70, 240, 30, 30, 0), (270, 230, 80, 60, 10)], 2)
    registration = PhaseCorrelation(PhaseCorrelationParams()).register(other, fixed)
    assert not registration.accepted
    assert "outlines meet" in registration.reason
    same = field([(86, 76, 60, 40, 20), (256, 86, 90, 20, 160), (156, 216, 45, 45, 0)], 3)
    assert PhaseCorrelation(PhaseCorrelationParams()).register(same, fixed).accepted
