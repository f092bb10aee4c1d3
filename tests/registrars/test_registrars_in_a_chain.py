"""``chain``: both stages must accept, the second near the first; and what the others say that cannot be built."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from vsf_plugins.registrars.chain import Chain, ChainParams
from vsf_plugins.registrars.kornia_alignment import warp_batch
from vsframework import UsageError, VsfError
from vsframework.plugins import registry
from vsframework.testing.prepared_images import as_camera, texture

FIELD = as_camera(texture(300, 360, seed=1), "uint8")
CROP = FIELD[61:189, 97:225]


def test_a_crop_is_found_by_the_first_and_refined_by_the_second() -> None:
    found = Chain(ChainParams(fine_params={"model": "translation"})).register(CROP, FIELD)
    assert found.accepted, found.reason
    np.testing.assert_allclose(found.matrix[:2, 2], [97, 61], atol=0.2)
    assert "sift-ransac" in found.reason
    assert "ecc" in found.reason
    assert found.pairs is not None


def test_what_the_first_stage_refuses_is_refused_by_name() -> None:
    other = as_camera(texture(300, 360, seed=2), "uint8")[:128, :128]
    found = Chain(ChainParams()).register(other, FIELD)
    assert not found.accepted
    assert found.reason.startswith("sift-ransac: ")


def test_a_second_stage_that_walks_away_is_refused() -> None:
    moved = FIELD[18:274, 9:329]
    here = FIELD[13:269, 2:322]
    part = Chain(ChainParams(fine="phase-correlation", max_move=2.0))
    part._coarse = Still()
    found = part.register(moved, here)
    assert not found.accepted
    assert "2 px allowed" in found.reason


class Still:
    """Believes that nothing moved."""

    def prepare(self, fixed: object) -> object:
        return fixed

    def register(self, moving: object, fixed: object) -> object:
        from vsframework.interfaces import Registration

        return Registration(matrix=np.eye(3), model="translation", accepted=True, reason="taken as aligned")


def test_an_unknown_stage_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="ecc"):
        registry().create("registrar", "chain", {"fine": "eccc"})
    with pytest.raises(UsageError, match="no-such"):
        registry().create("registrar", "chain", {"fine_params": {"no-such": 1}})


def test_without_simpleitk_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(VsfError, match=r"vsf-plugins\[registration\]"):
        registry().create("registrar", "mutual-information", {})


def test_many_patches_are_cut_in_one_go() -> None:
    places = np.stack([np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]]) for x, y in ((97, 61), (40, 30))])
    patches = warp_batch([FIELD, FIELD], places, (64, 80), device="cpu")
    assert patches.shape == (2, 64, 80)
    np.testing.assert_allclose(patches[0], FIELD[61:125, 97:177], atol=0.02)
    np.testing.assert_allclose(patches[1], FIELD[30:94, 40:120], atol=0.02)


def test_a_device_that_is_not_there_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="no-such"):
        registry().create("registrar", "kornia", {"device": "no-such"})
