"""A wrong matrix marked accepted is the one thing a registrar may never give: known-false pairs, zero accepted."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vsf_plugins.registrars.phase_correlation import PhaseCorrelation, PhaseCorrelationParams
from vsf_plugins.registrars.sift_ransac import SiftRansac, SiftRansacParams
from vsframework.interfaces import Registrar

Floats = npt.NDArray[np.float64]
Random = np.random.Generator


def smooth(height: int, width: int, rng: Random) -> Floats:
    return cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), rng.uniform(1.2, 5))


def noise(height: int, width: int, rng: Random) -> Floats:
    return rng.normal(size=(height, width))


def blank(height: int, width: int, rng: Random) -> Floats:
    return np.full((height, width), rng.uniform(0, 255))


def grating(height: int, width: int, rng: Random) -> Floats:
    rows, columns = np.mgrid[:height, :width].astype(float)
    return np.sin(columns / 3) + np.sin(rows / 4.3) + 0.05 * rng.normal(size=(height, width))


def tiles(height: int, width: int, rng: Random) -> Floats:
    side = int(rng.integers(16, 48))
    tile = np.random.default_rng(side).uniform(size=(side, side))
    image = cv2.GaussianBlur(np.tile(tile, (height // side + 2, width // side + 2)), (0, 0), 1.5)
    shift = int(rng.integers(0, side))
    return image[shift : shift + height, :width] + 0.02 * rng.normal(size=(height, width))


def heads(height: int, width: int, rng: Random) -> Floats:
    image = np.zeros((height, width))
    for _ in range(max(1, height * width // 20_000)):
        centre = (rng.uniform(20, width - 20), rng.uniform(20, height - 20))
        cv2.ellipse(image, (centre, (60, 40), float(rng.uniform(0, 360))), 1.0, -1)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    return image - 0.6 * cv2.GaussianBlur(image, (0, 0), 4) + 0.01 * rng.normal(size=image.shape)


SCENES: dict[str, Callable[[int, int, Random], Floats]] = {
    scene.__name__: scene for scene in (smooth, noise, blank, grating, tiles, heads)
}


def accepted(registrar: Registrar, scene: str, fields: int, patches: int, side: int) -> list[str]:
    """Try `patches` from other draws of a scene in each of `fields`; give the reasons of those accepted."""
    wrong = []
    for seed in range(fields):
        rng = np.random.default_rng([seed, list(SCENES).index(scene)])
        prepared = registrar.prepare(SCENES[scene](300, 340, rng))
        for _ in range(patches):
            result = registrar.register(SCENES[scene](side, side, rng), prepared)
            assert np.isfinite(result.matrix).all()
            assert result.reason
            if result.accepted:
                wrong.append(result.reason)
    return wrong


@pytest.mark.parametrize("scene", SCENES)
def test_sift_accepts_no_patch_of_another_field(scene: str) -> None:
    assert accepted(SiftRansac(SiftRansacParams()), scene, fields=2, patches=3, side=150) == []


@pytest.mark.parametrize("scene", SCENES)
def test_phase_correlation_accepts_no_other_field(scene: str) -> None:
    registrar = PhaseCorrelation(PhaseCorrelationParams())
    assert accepted(registrar, scene, fields=2, patches=2, side=300) == []


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("model", ["auto", "homography"])
def test_sift_accepts_none_of_sixty_patches(scene: str, model: str) -> None:
    registrar = SiftRansac(SiftRansacParams.model_validate({"model": model}))
    assert accepted(registrar, scene, fields=10, patches=6, side=150) == []


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_phase_correlation_accepts_none_of_forty_fields(scene: str) -> None:
    registrar = PhaseCorrelation(PhaseCorrelationParams())
    assert accepted(registrar, scene, fields=10, patches=4, side=300) == []
