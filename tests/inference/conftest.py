"""A trained tiny run: bright discs, two stains, 16 px patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vsframework.config import parse_experiment
from vsframework.dataset.store import Patch, PatchWriter
from vsframework.interfaces import Quantity
from vsframework.training import train

SIZE = 16


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, trained for two epochs on four patches."""
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("inference")
    run = folder / "run"
    with PatchWriter(run / "dataset", stains=("dsDNA", "ssDNA"), size=SIZE) as writer:
        for index in range(4):
            brightfield = random.integers(0, 256, (1, SIZE, SIZE)).astype(np.float32)
            stains = np.concatenate([255 - brightfield, (255 - brightfield) / 8])
            patch = Patch(brightfield=brightfield, raw=stains, denoised=stains)
            writer.add({"id": str(index), "donor": "a", "field": "f", "reason": "", "dfi": 0.11}, patch)
        dataset = writer.finish({}, [Quantity(name="dfi", unit="1", description="Of noise.")], 8)
    tables = {
        "data": {"root": "raw"},
        "patches": {"size": SIZE, "field_px": 8},
        "generator": {
            "name": "pix2pix",
            "width": 4,
            "depth": 2,
            "discriminator_halvings": 2,
            "deploy_statistics": "running",
        },
        "training": {"epochs": 2, "accelerator": "cpu"},
    }
    train(parse_experiment(tables, "the tiny experiment"), dataset, run)
    return run
