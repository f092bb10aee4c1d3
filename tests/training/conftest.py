"""A dataset of three donors and an experiment whose training takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsframework.config import Experiment, parse_experiment
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.interfaces import Quantity

SIZE = 16
GENERATOR = {"name": "pix2pix", "width": 4, "depth": 2, "discriminator_halvings": 2}
TRAINING = {"epochs": 4, "batch_size": 4, "checkpoint_every": 1, "accelerator": "cpu"}


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> PatchDataset:
    """Bright discs: dsDNA is 200 of 255 counts where brightfield is dark, ssDNA 30; donor3's discs are brighter."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    out = tmp_path_factory.mktemp("training") / "dataset"
    with PatchWriter(out, stains=("dsDNA", "ssDNA"), size=SIZE) as writer:
        for index in range(12):
            donor = f"donor{index % 3 + 1}"
            disc = (x - random.uniform(5, 10)) ** 2 + (y - random.uniform(5, 10)) ** 2 < 16
            peaks = np.array([250.0, 40.0] if donor == "donor3" else [200.0, 30.0])
            stains = (disc * peaks[:, None, None]).astype(np.float32)
            brightfield = np.where(disc, 60, 180).astype(np.float32)[None]
            row = {"id": str(index), "donor": donor, "field": "f", "reason": "", "dfi": 0.13}
            accepted = index != 7
            patch = Patch(brightfield=brightfield, raw=stains, denoised=stains) if accepted else None
            writer.add(row, patch)
        return writer.finish({}, [Quantity(name="dfi", unit="1", description="Of the discs.")], 8)


@pytest.fixture(scope="session")
def make_experiment() -> Callable[..., Experiment]:
    """Build the tiny experiment; keywords change its [training], the others are tables of their own."""

    def make(
        generator: dict[str, Any] | None = None,
        test_donors: tuple[str, ...] = ("donor3",),
        objective: dict[str, Any] | None = None,
        weak: dict[str, Any] | None = None,
        quantifier: dict[str, Any] | None = None,
        validation_donors: tuple[str, ...] = (),
        validation: dict[str, Any] | None = None,
        augmentation: dict[str, Any] | None = None,
        **training: Any,
    ) -> Experiment:
        tables = {
            "data": {"root": "raw"},
            "patches": {"size": SIZE},
            "split": {"test_donors": list(test_donors), "validation_donors": list(validation_donors)},
            "generator": {**GENERATOR, **(generator or {})},
            "training": {**TRAINING, **training},
            "objective": objective or {},
            "weak": weak or {},
            "validation": validation or {},
            "augmentation": augmentation or {},
            "quantifier": {"name": "dfi", **(quantifier or {})},
        }
        return parse_experiment(tables, "the tiny experiment")

    return make


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An empty run folder."""
    return tmp_path / "run"
