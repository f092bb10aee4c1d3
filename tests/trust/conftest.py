"""Drawn cells with known values, a stand-in for a trained run with known errors, and simulated cells with faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vsframework.config import Experiment, parse_experiment, write_experiment
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.interfaces import Quantifier
from vsframework.plugins import registry

SIDE = 48
STAINS = ("dsDNA", "ssDNA")
DONORS = tuple(f"D{number}" for number in range(1, 9))
SPLIT = {"test_donors": ["D1", "D2"], "calibration_donors": ["D3", "D4", "D5"]}


def drawn_cell(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """An oval head, dark with a bright halo, on a noisy background: [SIDE, SIDE] in 8-bit counts."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2 + rng.uniform(-0.8, 0.8, (2, 1, 1))
    radius = np.hypot(columns / rng.uniform(14.5, 16.5), rows / rng.uniform(10, 11.5))
    rim = 1 / (1 + np.exp((radius - 1) * 12))
    halo = np.exp(-(((radius - 1.15) / 0.09) ** 2))
    light = rng.uniform(125, 145) * (1 - rng.uniform(0.35, 0.45) * rim + 0.22 * halo)
    noise = rng.normal(0, 1.5, light.shape)
    return np.clip(np.rint(light + noise), 0, 255).astype(np.float32)


class KnownStainer:
    """Reads the DFI that is written into two pixels of the brightfield, and errs as told there."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.stains = STAINS
        self.info: dict[str, Any] = {}
        self.quantifier: Quantifier = registry().create("quantifier", "dfi", {})

    def stain(self, brightfield: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        dfi = np.clip((brightfield[:, 0, 24, 24] - 60) / 100 + (brightfield[:, 0, 24, 25] - 60) / 100, 0.01, 0.9)
        head = np.zeros((len(brightfield), SIDE, SIDE), dtype=np.float32)
        head[:, 10:38, 10:38] = 1
        return np.stack([100 * (1 - dfi)[:, None, None] * head, 100 * dfi[:, None, None] * head], axis=1).astype(
            np.float32
        )


def make_study(
    path: Path, per_donor: int = 12, seed: int = 0, spoil: Sequence[str] = (), spread: float = 0.02
) -> PatchDataset:
    """Eight donors; the first cell of each donor in `spoil` is blank, and its pixels carry the same values."""
    quantities = registry().create("quantifier", "dfi", {}).quantities
    with PatchWriter(path, stains=STAINS, size=SIDE) as writer:
        for number, donor in enumerate(DONORS):
            rng = np.random.default_rng([seed, number])
            for index in range(per_donor):
                image = drawn_cell(rng)
                if donor in spoil and index == 0:
                    image = np.full_like(image, 130)
                dfi, error = rng.uniform(0.08, 0.3), rng.normal(0, spread)
                image[24, 24], image[24, 25] = 60 + 100 * dfi, 60 + 100 * error
                head = np.zeros((SIDE, SIDE), dtype=np.float32)
                head[10:38, 10:38] = 1
                stains = np.stack([100 * (1 - dfi) * head, 100 * dfi * head]).astype(np.float32)
                row = {"id": f"{donor}/F/{index}", "donor": donor, "field": "F", "reason": "", "dfi": dfi}
                writer.add(row, Patch(brightfield=image[None], raw=stains + np.float32(2), denoised=stains))
        return writer.finish({"simulated": True}, quantities, 8)


def experiment_of(split: Mapping[str, Any] = SPLIT, **trust: Any) -> Experiment:
    base = {"name": "trust", "data": {"root": "raw"}, "baseline": {"regressor": False}}  # it takes minutes to fit
    tables = {**base, "split": dict(split), "trust": trust}
    return parse_experiment(tables, "test")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., tuple[Path, PatchDataset, KnownStainer]]:
    """Make a run folder with a dataset and a stand-in for its weights; keywords of `make_study` and ``[trust]``."""

    def make(split: Mapping[str, Any] = SPLIT, study: Mapping[str, Any] | None = None, **trust: Any) -> Any:
        run = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        experiment = experiment_of(split, **trust)
        dataset = make_study(run / "dataset", **(study or {}))
        weights = run / "checkpoints" / "final" / "generators.safetensors"
        weights.parent.mkdir(parents=True)
        weights.write_bytes(b"stand-in")
        write_experiment(experiment, run / "config.toml")
        return run, dataset, KnownStainer(experiment)

    return make


@dataclass(frozen=True)
class SimulatedCells:
    """Crops of training donors, and clean crops and planted faults of donors never learnt from."""

    training: npt.NDArray[np.float32]
    donors: list[str]
    clean: npt.NDArray[np.float32]
    faults: dict[str, npt.NDArray[np.float32]]


def as_patches(crops: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    return np.stack(crops).astype(np.float32)[:, None]


@pytest.fixture(scope="session")
def simulated_cells() -> SimulatedCells:
    from vsframework.simulation import SimulationOptions
    from vsframework.simulation.faults import FAULTS, plant_fault
    from vsframework.simulation.study import simulate_study_field

    options = SimulationOptions(donors=12, fields=3, width=720, height=540, cells_per_field=3, seed=5, debris=4)
    training, donors, clean = [], [], []
    faults: dict[str, list[npt.NDArray[Any]]] = {kind: [] for kind in FAULTS}
    for donor in range(12):
        for number in range(3 if donor < 8 else 2):
            field = simulate_study_field(options, donor, number)
            if donor < 8:
                training += field.crops
                donors += [f"donor{donor}"] * len(field.crops)
                continue
            for cell, (crop, truth) in enumerate(zip(field.crops, field.cells, strict=True)):
                corners = np.linalg.inv(truth.crop) @ np.array([[0, 149, 0, 149], [0, 0, 149, 149], [1, 1, 1, 1]])
                inside = corners.min() >= 0 and corners[0].max() < 720 and corners[1].max() < 540
                if truth.overlapping or not inside:
                    continue
                clean.append(crop)
                for kind, images in faults.items():
                    images.append(plant_fault(kind, field, cell, seed=donor * 10 + number).image)
    return SimulatedCells(
        training=as_patches(training),
        donors=donors,
        clean=as_patches(clean),
        faults={kind: as_patches(images) for kind, images in faults.items()},
    )
