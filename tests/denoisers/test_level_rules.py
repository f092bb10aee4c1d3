"""The denoisers beside the published ones: where they look, and how finely they read the level."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.interfaces import Denoised
from vsframework.plugins import registry

RULES = ("border-median", "sigma-clip", "local-plane", "rolling-ball")
SIDE = 150


def denoise(rule: str, stains: npt.NDArray[np.generic], **params: Any) -> Denoised:
    result: Denoised = registry().create("denoiser", rule, params).denoise(stains)
    return result


def head(height: float) -> npt.NDArray[np.float64]:
    """A head of the size and softness of a real one, in the middle of a patch."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return height * np.clip(4 * (1 - np.hypot(columns / 49, rows / 32)), 0, 1)


def camera(light: npt.NDArray[np.float64], seed: int = 0, noise: float = 0.3) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(light + rng.normal(0, noise, light.shape)), 0, 255).astype(np.uint8)


# sigma-clip looks everywhere: the soft rim of the head, where it is a grey level high, counts too
FINENESS = {"border-median": 0.06, "local-plane": 0.06, "sigma-clip": 0.1}


@pytest.mark.parametrize("level", [1.25, 1.5, 1.75, 7.1])
@pytest.mark.parametrize("rule", FINENESS)
def test_a_level_between_two_grey_levels_is_found(rule: str, level: float) -> None:
    result = denoise(rule, camera(np.stack([level + head(100), level + head(12)])))
    np.testing.assert_allclose(result.background, level, atol=FINENESS[rule])


@pytest.mark.parametrize("level", [1.25, 1.5, 1.75, 7.1])
def test_a_rolling_ball_is_within_half_a_grey_level(level: float) -> None:
    """It rests on the darkest blocks and lifts a little under the head, so it is coarser than the others."""
    result = denoise("rolling-ball", camera(np.stack([level + head(100), level + head(12)])))
    np.testing.assert_allclose(result.background, level, atol=0.5)


@pytest.mark.parametrize("rule", RULES)
def test_the_pixels_of_the_background_are_not_those_of_the_head(rule: str) -> None:
    mask = denoise(rule, camera(np.stack([2 + head(100), 2 + head(12)]))).mask
    inside = head(1) >= 1
    assert mask.any()
    assert not (mask & inside).any()


@pytest.mark.parametrize("rule", ["border-median", "local-plane"])
def test_a_neighbour_that_reaches_into_the_frame_is_left_out(rule: str) -> None:
    light = 2 + head(100)
    light[:40, -60:] += 90
    result = denoise(rule, camera(light[None]))
    assert result.background[0] == pytest.approx(2, abs=0.1)
    assert not result.mask[:12, -60:].any()


def test_only_a_plane_follows_a_slope() -> None:
    slope = np.linspace(0, 8, SIDE)[None, :]
    light = (3 + slope + 0 * head(1))[None]
    left = {rule: denoise(rule, camera(light), negative="clip").stains[0] for rule in ("local-plane", "border-median")}
    assert left["local-plane"].mean() < 0.3
    assert left["border-median"][:, -20:].mean() > 2
    assert denoise("local-plane", camera(light)).background[0] == pytest.approx(7, abs=0.1)


def test_a_rolling_ball_follows_a_hollow_that_no_plane_fits() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    hollow = 20 + 6 * (rows**2 + columns**2) / (SIDE / 2) ** 2
    patch = (hollow + head(100))[None]
    off = {rule: abs(denoise(rule, patch).background[0] - hollow.mean()) for rule in ("rolling-ball", "local-plane")}
    assert off["rolling-ball"] < 1
    assert off["rolling-ball"] < 0.5 * off["local-plane"]


@pytest.mark.parametrize("rule", ["border-median", "local-plane"])
def test_the_frame_scales_with_the_patch(rule: str) -> None:
    image = camera((2 + head(100))[None])
    wide = denoise(rule, np.repeat(np.repeat(image, 2, axis=1), 2, axis=2))
    assert wide.mask.mean() == pytest.approx(denoise(rule, image).mask.mean(), rel=0.02)
    assert wide.background[0] == pytest.approx(denoise(rule, image).background[0], abs=0.02)


def test_three_standard_deviations_do_not_clip_a_head() -> None:
    """Why `sigma` is 2: a head is a fifth of the patch and widens the standard deviation."""
    patch = camera((2 + head(100))[None])
    assert denoise("sigma-clip", patch).background[0] == pytest.approx(2, abs=0.05)
    assert denoise("sigma-clip", patch, sigma=3).background[0] > 3


@pytest.mark.parametrize("rule", ["border-median", "sigma-clip", "local-plane", "rolling-ball"])
def test_a_quiet_patch_does_not_lift_the_level_to_the_heads(rule: str) -> None:
    """The known weakness of the paper's rule: without noise its second and third mode are grey levels of the head."""
    patch = np.rint(np.stack([2 + head(100), 1 + head(12)])).astype(np.uint8)
    assert denoise("histogram-mode", patch).background[0] > 20
    # its first mode is a level of the background, the others are not
    assert denoise("histogram-mode", patch, modes=1).background[0] == 2
    np.testing.assert_allclose(denoise(rule, patch).background, [2, 1], atol=0.6 if rule == "rolling-ball" else 0.05)
