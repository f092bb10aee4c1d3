"""What every test shares: the real data, where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# no deadline: speed is a benchmark's business, and test machines are noisy
settings.register_profile("project", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)  # the same examples every time: .ci/run asks for it
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def engine_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the engines of vsf-edge out of the user's cache, and those of one test run apart from another's."""
    os.environ["VSF_EDGE_CACHE"] = str(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real microscope images; the test is skipped, with the reason, where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real images (../shared/data) are not on this machine")
    return REAL_DATA


SMALL = (
    "patches.size=32",
    "generator.depth=3",
    "generator.width=4",
    "training.epochs=2",
    "training.batch_size=4",
    "training.checkpoint_every=1",
    "regressor.epochs=1",
)
"""Overrides that make a run finish in seconds: it shows that the stages work, not that they learn."""


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated study (three donors, one field each): copy it before changing it."""
    from vsframework.simulation import SimulationOptions, simulate

    root = tmp_path_factory.mktemp("simulated") / "study"
    simulate(root, SimulationOptions(donors=3, fields=1, width=900, height=700, cells_per_field=4, seed=5))
    return root
