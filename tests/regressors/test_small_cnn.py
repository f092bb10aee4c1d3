"""The built-in direct regressor beside what its contract holds: its refusal, and its parameters."""

from __future__ import annotations

import numpy as np
import pytest

from vsframework import VsfError
from vsframework.plugins import registry


def test_refuses_a_single_cell() -> None:
    regressor = registry().create("regressor", "small-cnn")
    with pytest.raises(VsfError, match="cannot learn from 1 cells"):
        regressor.fit(np.zeros((1, 1, 32, 32), np.float32), np.array([0.1]), ("A",), 0)


def test_another_seed_gives_other_predictions() -> None:
    regressor = registry().create("regressor", "small-cnn", {"epochs": 1, "width": 4, "size": 16})
    random = np.random.default_rng(0)
    patches = random.uniform(0, 255, (8, 1, 32, 32)).astype(np.float32)
    values = random.uniform(0, 1, 8)
    first, other = (regressor.fit(patches, values, ["A"] * 8, seed).predict(patches) for seed in (0, 1))
    assert not np.array_equal(first, other)
