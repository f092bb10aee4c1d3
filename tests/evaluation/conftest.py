"""A small dataset with known truth, and a stand-in for a trained run whose errors are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.config import Experiment, parse_experiment, write_experiment
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.evaluation import Evaluation
from vsframework.evaluation.examples import choose_examples, write_examples
from vsframework.evaluation.results import read_cells
from vsframework.evaluation.trusting import TrustResult, risk_coverage
from vsframework.interfaces import Quantifier
from vsframework.plugins import registry

SIZE = 16
STAINS = ("dsDNA", "ssDNA")
DFI = {"D1": 0.20, "D2": 0.10, "D3": 0.14}
"""Middle of each donor's cells."""
BACKGROUND = 5.0


class KnownStainer:
    """Reads the DFI that `make_dataset` wrote into the brightfield's first pixel, and stains with an error."""

    def __init__(self, experiment: Experiment, error: float = 0.0, stains: tuple[str, ...] = STAINS) -> None:
        self.experiment = experiment
        self.stains = stains
        self.error = error
        self.info: dict[str, str] = {}
        self.quantifier: Quantifier = registry().create("quantifier", "dfi", {})

    def stain(self, brightfield: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        dfi = brightfield[:, 0, 0, 0] / 1000 + self.error
        head = brightfield[:, 0] < 100
        head[:, 0, 0] = False
        return np.stack([100 * (1 - dfi)[:, None, None] * head, 100 * dfi[:, None, None] * head], axis=1).astype(
            np.float32
        )


def cell_patch(dfi: float) -> Patch:
    brightfield = np.full((1, SIZE, SIZE), 150, dtype=np.float32)
    head = np.zeros((SIZE, SIZE), dtype=np.float32)
    head[4:12, 5:11] = 1
    brightfield[0][head > 0] = 60
    brightfield[0, 0, 0] = 1000 * dfi
    denoised = np.stack([100 * (1 - dfi) * head, 100 * dfi * head]).astype(np.float32)
    return Patch(brightfield=brightfield, raw=denoised + np.float32(BACKGROUND), denoised=denoised)


@pytest.fixture(scope="session")
def experiment() -> Callable[..., Experiment]:
    def make(test_donors: Sequence[str] = ("D1",), regressor: bool = False) -> Experiment:
        tables = {
            "name": "known truth",
            "data": {"root": "raw"},
            "split": {"test_donors": list(test_donors)},
            "baseline": {"regressor": regressor},
            "regressor": {"name": "small-cnn", "epochs": 2, "size": 16, "width": 4},
        }
        return parse_experiment(tables, "test")

    return make


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., PatchDataset]:
    def make(
        path: Path, per_donor: int = 7, donors: Mapping[str, float] = DFI, info: Mapping[str, Any] | None = None
    ) -> PatchDataset:
        quantities = registry().create("quantifier", "dfi", {}).quantities
        with PatchWriter(path, stains=STAINS, size=SIZE) as writer:
            for donor, middle in donors.items():
                for index in range(per_donor):
                    dfi = middle + 0.01 * (index - per_donor // 2)
                    row = {"id": f"{donor}/F0/{index}", "donor": donor, "field": "F0", "reason": "", "dfi": dfi}
                    writer.add(row, cell_patch(dfi))
                bad = {"id": f"{donor}/F0/bad", "donor": donor, "field": "F0", "dfi": float("nan")}
                writer.add({**bad, "reason": f"only {len(donor)} inliers, 20 are needed"}, None)
            return writer.finish({"simulated": True, **(info or {})}, quantities, 8)

    return make


@pytest.fixture(scope="session")
def make_run(make_dataset: Callable[..., PatchDataset], experiment: Callable[..., Experiment]) -> Callable[..., Path]:
    """Make a run folder with a dataset and a config, not evaluated; keywords go to `make_dataset`."""

    def make(path: Path, test_donors: Sequence[str] = ("D1",), **dataset: Any) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        make_dataset(path / "dataset", **dataset)
        write_experiment(experiment(test_donors), path / "config.toml")
        return path

    return make


@pytest.fixture(scope="session")
def known_stainer(experiment: Callable[..., Experiment]) -> Callable[..., KnownStainer]:
    def make(test_donors: Sequence[str] = ("D1",), regressor: bool = False, **changes: Any) -> KnownStainer:
        return KnownStainer(experiment(test_donors, regressor), **changes)

    return make


@pytest.fixture(scope="session")
def judge() -> Callable[..., None]:
    """Let an evaluated run (D1 held out) have gates and intervals, as if it had been calibrated."""
    return _judge


def _judge(run: Path, stainer: Any) -> None:
    """Let the run's evaluation have abstained from one cell of D1, with intervals that hold for all others."""
    evaluation = Evaluation.read(run)
    name = evaluation.quantities[0].name
    cells = read_cells(run)
    which = cells["donor"] == "D1"
    cells["answered"] = (cells.index != cells.index[which][0]).astype(int)
    cells["reason"] = np.where(cells["answered"] == 1, "", "out of focus")
    cells["gate_focus"] = np.where(cells["answered"] == 1, 0.3, 4.0)
    values = {
        "name": name,
        "unit": "1",
        "donors": [{"donor": "D1", "cells": 7, "answered": 6, "covered": 1.0, "width": 0.1}],
        "covered": 1.0,
        "width": 0.1,
        "mae": 0.03,
        "mae_answered": 0.03,
        "mae_abstained": 0.03,
        "risk_coverage": risk_coverage(np.full(7, 0.03), np.arange(7.0), np.ones(7, dtype=bool)),
    }
    trust = TrustResult.model_validate(
        {
            "level": 0.9,
            "exchangeable": "cells",
            "calibrated_on": ["D2"],
            "missing": "",
            "cells": 7,
            "answered": 6,
            "abstained_by": {"focus": 1},
            "quantities": [values],
        }
    )
    examples = choose_examples(cells[which], name)
    assert list(examples)[-1] == "abstained"
    dataset = PatchDataset.open(run / "dataset")
    write_examples(run, dataset, dict.fromkeys(examples.values(), stainer), examples)
    evaluation.model_copy(update={"trust": trust}).write(run, cells)
