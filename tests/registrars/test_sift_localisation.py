"""``sift-ransac`` finds a patch where it is, whatever the camera, the angle and the model."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsf_plugins.registrars.acceptance import corners, transform
from vsf_plugins.registrars.sift_ransac import SiftRansac, SiftRansacParams
from vsframework import UsageError
from vsframework.plugins import registry

Floats = npt.NDArray[np.float64]


def texture(height: int, width: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), sigma) for sigma in (1.5, 3.0, 6.0)]
    image = sum(layer / layer.std() for layer in layers)
    return np.clip(128 + 30 * image, 0, 255)


def pose(x: float, y: float, angle: float, scale: float, side: int = 150) -> Floats:
    """Patch to field: the middle of a patch lies at (x, y), turned and scaled."""
    c, s, half = scale * np.cos(angle), scale * np.sin(angle), (side - 1) / 2
    return np.array([[c, -s, x - c * half + s * half], [s, c, y - s * half - c * half], [0.0, 0.0, 1.0]])


def cut(field: Floats, matrix: Floats, side: int = 150) -> Floats:
    warped = cv2.warpPerspective(field, matrix, (side, side), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return np.clip(warped, 0, 255)


def corner_error(found: Floats, true: Floats, shape: tuple[int, ...]) -> float:
    outline = corners((shape[0], shape[1]))
    return float(np.linalg.norm(transform(found, outline) - transform(true, outline), axis=1).mean())


FIELD = texture(420, 520, seed=1)
PREPARED = SiftRansac(SiftRansacParams()).prepare(FIELD.astype(np.uint8))


@settings(max_examples=15, deadline=None)
@given(
    x=st.floats(120, 400),
    y=st.floats(120, 300),
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.75, 1.33),
)
def test_a_turned_and_scaled_patch_is_found_to_a_fraction_of_a_pixel(
    x: float, y: float, angle: float, scale: float
) -> None:
    matrix = pose(x, y, angle, scale)
    registration = SiftRansac(SiftRansacParams()).register(cut(FIELD, matrix).astype(np.uint8), PREPARED)
    assert registration.accepted, registration.reason
    assert corner_error(registration.matrix, matrix, (150, 150)) < 0.3


@pytest.mark.parametrize("angle", [np.pi / 2, np.pi, -np.pi / 2])
def test_a_quarter_turn_leaves_no_half_pixel_behind(angle: float) -> None:
    matrix = pose(250, 200, angle, 1.0)
    registrar = SiftRansac(SiftRansacParams(refine=False))
    registration = registrar.register(cut(FIELD, matrix).astype(np.uint8), FIELD.astype(np.uint8))
    assert registration.accepted, registration.reason
    assert corner_error(registration.matrix, matrix, (150, 150)) < 0.2


@pytest.mark.parametrize(
    ("dtype", "scale"), [("uint8", 1.0), ("uint16", 16.0), ("uint16", 256.0), ("float32", 1 / 255), ("float64", 1e4)]
)
def test_any_camera_gives_the_same_place(dtype: str, scale: float) -> None:
    matrix = pose(230, 190, 0.7, 1.0)
    field, patch = ((image * scale).astype(dtype) for image in (FIELD, cut(FIELD, matrix)))
    registration = SiftRansac(SiftRansacParams()).register(patch, field)
    assert registration.accepted, registration.reason
    assert corner_error(registration.matrix, matrix, (150, 150)) < 0.3


@pytest.mark.parametrize("model", ["similarity", "affine", "homography"])
@pytest.mark.parametrize("ransac", ["ransac", "magsac"])
@pytest.mark.parametrize("contrast", ["linear", "clahe"])
def test_every_model_estimator_and_contrast_finds_it(model: str, ransac: str, contrast: str) -> None:
    registrar = registry().create("registrar", "sift-ransac", {"model": model, "ransac": ransac, "contrast": contrast})
    matrix = pose(230, 190, -0.3, 1.0)
    registration = registrar.register(cut(FIELD, matrix), FIELD)
    assert registration.accepted, registration.reason
    assert registration.model == model
    assert corner_error(registration.matrix, matrix, (150, 150)) < 0.5


def test_auto_takes_a_similarity_for_a_turn_and_a_homography_for_a_viewpoint() -> None:
    registrar = SiftRansac(SiftRansacParams())
    assert registrar.register(cut(FIELD, pose(230, 190, 0.5, 1.0)), FIELD).model == "similarity"
    tilted = pose(230, 190, 0.1, 1.2) @ np.array([[1.0, 0.1, 0.0], [0.0, 0.9, 0.0], [8e-4, -5e-4, 1.0]])
    registration = registrar.register(cut(FIELD, tilted, 200), FIELD)
    assert registration.accepted, registration.reason
    assert registration.model == "homography"
    assert corner_error(registration.matrix, tilted, (200, 200)) < 0.5


def test_noise_and_uneven_light_are_borne() -> None:
    matrix = pose(260, 210, 2.0, 1.0)
    rng = np.random.default_rng(4)
    light = np.linspace(0.7, 1.2, 150)[None, :]
    patch = np.clip(cut(FIELD, matrix) * light + rng.normal(0, 6, (150, 150)), 0, 255).astype(np.uint8)
    registration = SiftRansac(SiftRansacParams()).register(patch, PREPARED)
    assert registration.accepted, registration.reason
    assert corner_error(registration.matrix, matrix, (150, 150)) < 0.5


def test_the_same_pair_gives_the_same_bits() -> None:
    patch = cut(FIELD, pose(260, 210, 2.0, 1.0))
    registrar = SiftRansac(SiftRansacParams())
    first, second = (registrar.register(patch, registrar.prepare(FIELD)) for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)
    assert first.reason == second.reason


@pytest.mark.parametrize(
    ("moving", "reason"),
    [
        (np.zeros((150, 150)), "constant"),
        (np.full((150, 150), 7, np.uint16), "constant"),
        (np.where(np.eye(150) > 0, np.nan, 1.0), "not finite"),
        (FIELD[:20, :200], "too small"),
        (FIELD[:1, :1], "too small"),
        (np.tile(np.linspace(0, 255, 150), (150, 1)), "features"),
    ],
)
def test_what_cannot_be_matched_is_refused_with_the_reason(moving: npt.NDArray[Any], reason: str) -> None:
    registrar = SiftRansac(SiftRansacParams())
    for registration in (registrar.register(moving, PREPARED), registrar.register(FIELD, moving)):
        assert not registration.accepted
        assert reason in registration.reason
        assert np.isfinite(registration.matrix).all()


def test_a_colour_image_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="one channel"):
        SiftRansac(SiftRansacParams()).register(np.zeros((50, 50, 3)), PREPARED)


def test_a_patch_that_reaches_out_of_the_field_is_found_by_what_is_inside() -> None:
    matrix = pose(30, 200, 0.4, 1.0)
    registration = SiftRansac(SiftRansacParams()).register(cut(FIELD, matrix), PREPARED)
    assert registration.accepted, registration.reason
    assert corner_error(registration.matrix, matrix, (150, 150)) < 0.5
    strict = SiftRansac(SiftRansacParams(min_overlap=0.95)).register(cut(FIELD, matrix), PREPARED)
    assert not strict.accepted
    assert "lie in the fixed one" in strict.reason


def test_a_larger_scale_than_allowed_is_refused() -> None:
    patch = cut(FIELD, pose(260, 210, 0.2, 0.7))
    registration = SiftRansac(SiftRansacParams(max_scale=1.2)).register(patch, PREPARED)
    assert not registration.accepted
    assert "scale" in registration.reason
