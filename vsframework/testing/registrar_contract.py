"""What every registrar holds: it finds a known shift or says that it does not, and never believes a wrong one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vsframework.interfaces import ImageArray, Registrar, Registration
from vsframework.testing.component_contract import ComponentContract
from vsframework.testing.prepared_images import FULL_SCALE, as_camera, texture

TOLERANCE_PX = 1.0
MODELS = ("translation", "rigid", "similarity", "affine", "homography")
FIELD = texture(300, 360, seed=1)
OTHER_FIELD = texture(300, 360, seed=2)

PAIRS = {
    # moving, fixed, and where moving's first pixel lies in fixed (x, y)
    "crop in a field": (FIELD[61:189, 97:225], FIELD, (97.0, 61.0)),
    "shifted field": (FIELD[13:269, 9:329], FIELD[18:274, 2:322], (7.0, -5.0)),
}

UNMATCHED = {
    "a crop of another field": (OTHER_FIELD[61:189, 97:225], FIELD),
    "another field": (OTHER_FIELD, FIELD),
    "a blank crop": (np.zeros((128, 128)), FIELD),
    "a blank field": (FIELD[61:189, 97:225], np.full((300, 360), 0.5)),
    "two blank images": (np.zeros((128, 128)), np.zeros((300, 360))),
    "a crop of one pixel": (FIELD[:1, :1], FIELD),
    "a crop of 3x3 pixels": (FIELD[50:53, 50:53], FIELD),
    "noise": (np.random.default_rng(3).uniform(size=(128, 128)), FIELD),
}


class RegistrarContract(ComponentContract):
    """Contract of ``vsf_registrars``: see :class:`~vsframework.interfaces.Registrar`."""

    kind = "registrar"
    protocol = Registrar

    def test_recovers_a_known_shift(self, part: Registrar) -> None:
        reasons = []
        for pair, (moving, fixed, corner) in PAIRS.items():
            result = part.register(as_camera(moving, "uint8"), as_camera(fixed, "uint8"))
            if result.accepted:
                _check_is_right(result, moving.shape, corner, pair)
            else:
                reasons.append(f"{pair}: {result.reason}")
        assert len(reasons) < len(PAIRS), f"found no known shift; a registrar must find one of these ({reasons})"

    @pytest.mark.parametrize("dtype", FULL_SCALE)
    def test_accepts_every_camera_dtype_and_gives_a_whole_registration(self, part: Registrar, dtype: str) -> None:
        for pair, (moving, fixed, corner) in PAIRS.items():
            result = part.register(as_camera(moving, dtype), as_camera(fixed, dtype))
            _check_is_whole(result)
            if result.accepted:
                _check_is_right(result, moving.shape, corner, f"{pair} as {dtype}")

    @pytest.mark.parametrize("case", UNMATCHED)
    def test_rejects_what_does_not_match_without_raising(self, part: Registrar, case: str) -> None:
        moving, fixed = UNMATCHED[case]
        result = part.register(as_camera(moving, "uint8"), as_camera(fixed, "uint8"))
        _check_is_whole(result)
        assert not result.accepted, f"{case} was accepted ({result.reason}): a wrong match must be rejected"

    def test_a_prepared_field_gives_the_same_as_the_field(self, part: Registrar) -> None:
        for pair, (moving, fixed, _) in PAIRS.items():
            small, field = as_camera(moving, "uint8"), as_camera(fixed, "uint8")
            prepared = part.prepare(field)
            first = part.register(small, prepared)
            again = part.register(small, prepared)
            direct = part.register(small, field)
            assert first.accepted == again.accepted == direct.accepted, f"{pair}: the decision changes between calls"
            if first.accepted:
                np.testing.assert_array_equal(first.matrix, again.matrix, f"{pair}: not deterministic")
                np.testing.assert_allclose(
                    first.matrix, direct.matrix, atol=1e-6, err_msg=f"{pair}: prepare() changes the result"
                )

    def test_leaves_its_images_unchanged(self, part: Registrar) -> None:
        moving, fixed = (as_camera(image, "uint8") for image in PAIRS["crop in a field"][:2])
        before: tuple[ImageArray, ImageArray] = (moving.copy(), fixed.copy())
        part.register(moving, part.prepare(fixed))
        np.testing.assert_array_equal(moving, before[0], "register() changed the moving image")
        np.testing.assert_array_equal(fixed, before[1], "prepare() changed the field")


def _check_is_whole(result: Any) -> None:
    assert isinstance(result, Registration), f"register() gave a {type(result).__name__}, not a Registration"
    assert result.matrix.shape == (3, 3), f"matrix has the shape {result.matrix.shape}, not (3, 3)"
    assert result.matrix.dtype == np.float64, f"matrix is {result.matrix.dtype}, not float64"
    assert result.model in MODELS, f"unknown model {result.model!r}"
    assert isinstance(result.accepted, bool), f"accepted is a {type(result.accepted).__name__}, not a bool"
    assert result.reason.strip(), "reason is empty: say why it was accepted or rejected"
    assert 0 <= result.inliers <= result.matches, f"{result.inliers} inliers of {result.matches} matches"
    if result.accepted:
        assert np.isfinite(result.matrix).all(), "an accepted matrix holds NaN or infinity"


def _check_is_right(result: Registration, shape: tuple[int, ...], corner: tuple[float, float], pair: str) -> None:
    height, width = shape
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]], dtype=np.float64)
    mapped = corners @ result.matrix.T
    error = np.hypot(*(mapped[:, :2] / mapped[:, 2:] - corners[:, :2] - corner).T).mean()
    assert error < TOLERANCE_PX, (
        f"{pair}: accepted, and its corners are {error:.2f} px off on average; matrix takes moving pixels to fixed "
        "pixels, x first"
    )
