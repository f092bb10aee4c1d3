"""The bounded alignments: right on simulated brightfield and stain, and not fooled by what does not belong together.

The registrars that see two modalities are asked here; what the issue asks of large numbers is marked slow.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vsf_plugins.registrars.acceptance import transform
from vsframework.interfaces import Registrar
from vsframework.plugins import registry
from vsframework.simulation import SimulationOptions
from vsframework.simulation.fields import SimulatedField
from vsframework.simulation.pairs import DisplacedStain, displace_stain
from vsframework.simulation.study import simulate_study_field

TURNING = {
    "ecc": {},
    "mutual-information": {},
    "kornia": {},
    "chain": {"coarse": "ecc", "fine": "ecc", "fine_params": {"model": "affine"}},
}
REGISTRARS: dict[str, dict[str, Any]] = {"phase-correlation": {}, **TURNING}


def create(name: str, **params: Any) -> Registrar:
    if name == "mutual-information":
        pytest.importorskip("SimpleITK", reason="SimpleITK is not installed: pip install 'vsf-plugins[registration]'")
    part: Registrar = registry().create("registrar", name, {**REGISTRARS[name], **params})
    return part


@cache
def field(index: int) -> SimulatedField:
    options = SimulationOptions(width=960, height=640, displacement=0, seed=21)
    return simulate_study_field(options, index % 6, index // 6)


def error(found: npt.NDArray[Any], stain: DisplacedStain, scene: SimulatedField) -> float:
    """Mean distance at the heads, in pixels; docs/registration.md has the empty corners too."""
    heads = np.array([[cell.x, cell.y] for cell in scene.cells])
    return float(np.linalg.norm(transform(found, transform(np.linalg.inv(stain.matrix), heads)) - heads, axis=1).mean())


def errors_and_refusals(name: str, pairs: int, seed: int) -> tuple[list[float], list[str]]:
    registrar, rng = create(name), np.random.default_rng(seed)
    turning = {} if name in TURNING else {"max_turn": 0.0, "max_scale": 0.0}
    errors, refused = [], []
    for index in range(pairs):
        scene = field(index % 25)
        stain = displace_stain(scene, rng, **turning)
        found = registrar.register(stain.stain, scene.brightfield)
        if found.accepted:
            errors.append(error(found.matrix, stain, scene))
        else:
            refused.append(f"pair {index}: {found.reason}")
    return errors, refused


@pytest.mark.parametrize("name", REGISTRARS)
def test_a_known_movement_is_found(name: str) -> None:
    errors, refused = errors_and_refusals(name, pairs=3, seed=1)
    assert refused == []
    assert max(errors) < 1


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTRARS)
def test_of_a_hundred_movements_95_are_found_to_half_a_pixel(name: str) -> None:
    errors, refused = errors_and_refusals(name, pairs=100, seed=2)
    assert len(errors) >= 95, refused
    assert np.median(errors) < 0.5
    assert np.percentile(errors, 95) < 1


def false_pairs(rng: np.random.Generator, count: int) -> Any:
    """Give `count` times a name, a stain and a brightfield that do not belong together, one kind after the other."""
    rows, columns = np.mgrid[:640, :960].astype(float)
    for index in range(count):
        here, other = field(index % 25), field((index + 1 + index // 5 % 20) % 25)
        stain = displace_stain(here, rng).stain
        tile = np.tile(cv2.GaussianBlur(rng.uniform(0, 200, (40, 40)), (0, 0), 2), (16, 24))
        grating = 100 + 50 * np.sin(columns / rng.uniform(3, 8)) + rng.normal(0, 2, rows.shape)
        yield (
            ("other field", stain, other.brightfield),
            ("mirrored", stain[:, ::-1], here.brightfield),
            ("blank", rng.poisson(3, stain.shape).astype(np.uint8), here.brightfield),
            ("repeated texture", tile + rng.normal(0, 2, tile.shape), np.roll(tile, (13, 17), (0, 1))),
            ("grating and stain", grating, here.brightfield),
        )[index % 5]


def accepted_false_pairs(name: str, count: int, seed: int) -> list[str]:
    registrar = create(name)
    wrong = []
    for kind, moving, fixed in false_pairs(np.random.default_rng(seed), count):
        found = registrar.register(moving, fixed)
        assert found.reason
        if found.accepted:
            wrong.append(f"{kind}: {found.reason}")
    return wrong


@pytest.mark.parametrize("name", REGISTRARS)
def test_no_false_pair_is_accepted(name: str) -> None:
    assert accepted_false_pairs(name, count=5, seed=3) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTRARS)
def test_of_two_hundred_false_pairs_at_most_one_is_accepted(name: str) -> None:
    wrong = accepted_false_pairs(name, count=200, seed=4)
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine"])
@pytest.mark.parametrize("name", ["ecc", "mutual-information", "kornia"])
def test_every_model_stays_of_its_kind(name: str, model: str) -> None:
    scene, rng = field(0), np.random.default_rng(5)
    limits = {} if model in ("similarity", "affine") else {"max_scale": 0.0}
    if model == "translation":
        limits["max_turn"] = 0.0
    stain = displace_stain(scene, rng, **limits)
    found = create(name, model=model).register(stain.stain, scene.brightfield)
    assert found.accepted, found.reason
    assert found.model == model
    turn = found.matrix[:2, :2]
    if model == "translation":
        np.testing.assert_allclose(turn, np.eye(2), atol=1e-9)
    elif model == "rigid":
        np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=1e-6)
    elif model == "similarity":
        np.testing.assert_allclose(turn @ turn.T, np.linalg.det(turn) * np.eye(2), atol=1e-6)
    assert error(found.matrix, stain, scene) < 1.5


@pytest.mark.parametrize("name", ["ecc", "mutual-information", "kornia"])
def test_a_movement_beyond_the_bounds_is_refused(name: str) -> None:
    scene = field(1)
    moved = np.roll(displace_stain(scene, np.random.default_rng(6), max_turn=0, max_scale=0).stain, 40, axis=1)
    found = create(name, model="translation").register(moved, scene.brightfield)
    assert not found.accepted
