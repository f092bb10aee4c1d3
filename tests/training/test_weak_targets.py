"""Cells of which only values were measured: how they are read, and that training follows them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from vsframework import UsageError, VsfError
from vsframework.cli.train import command as train_command
from vsframework.config import Experiment, parse_experiment, write_experiment
from vsframework.dataset import build
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.inference import Stainer
from vsframework.interfaces import Quantity
from vsframework.pipeline import Run
from vsframework.plugins import registry
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_weights
from vsframework.training.data import WeakBatch, load_weak_targets, open_weak_dataset, weak_batches
from vsframework.training.models import Model
from vsframework.training.normalisation import Normalisation
from vsframework.training.objective import plan_objective

Make = Callable[..., Experiment]

SIZE = 16
DFI = 0.4
"""Of every weak cell: three times that of the cells with images in `tiny_dataset`."""
QUANTITIES = (
    Quantity(name="dfi", unit="1", description="Of the whole cell."),
    Quantity(name="dsDNA_sum", unit="counts", description="Of the whole cell."),
)
FAST = {"width": 8, "depth": 3, "discriminator": "none"}
RUNS = ("mixed", "alone")
SCALE = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(200.0, 30.0))


@pytest.fixture(scope="session")
def make_weak(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PatchDataset]:
    """Discs as in `tiny_dataset` on a darker background, without stains: nine cells of the donors S1, S2 and donor3."""

    def make(size: int = SIZE, bit_depth: int = 8, dfi: float = DFI) -> PatchDataset:
        random = np.random.default_rng(1)
        y, x = np.mgrid[:size, :size]
        out = tmp_path_factory.mktemp("weak") / "labels"
        with PatchWriter(out, stains=("dsDNA", "ssDNA"), size=size, has_stains=False) as writer:
            for index in range(9):
                disc = (x - random.uniform(5, 10)) ** 2 + (y - random.uniform(5, 10)) ** 2 < 16
                row = {
                    "id": f"weak{index}",
                    "donor": ("S1", "S2", "donor3")[index % 3],
                    "field": "f",
                    "reason": "",
                    "dfi": dfi,
                    "dsDNA_sum": 1000.0 + index,
                }
                writer.add(row, Patch(brightfield=np.where(disc, 60, 120).astype(np.float32)[None]))
            return writer.finish({}, QUANTITIES, bit_depth)

    return make


@pytest.fixture(scope="session")
def weak_dataset(make_weak: Callable[..., PatchDataset]) -> PatchDataset:
    return make_weak()


@pytest.fixture
def mixed(make_experiment: Make, weak_dataset: PatchDataset) -> Callable[..., Experiment]:
    """The tiny experiment with weak targets; keywords change [objective], `weak` and [training]."""

    def make(objective: dict[str, Any] | None = None, weak: dict[str, Any] | None = None, **rest: Any) -> Experiment:
        objective = {"lambda_gan": 0, "lambda_quantity": 10, **(objective or {})}
        weak = {"dataset": str(weak_dataset.path), **(weak or {})}
        return make_experiment(objective=objective, weak=weak, **{"models": "joint", **rest})

    return make


def virtual_dfi(run: Path, dataset: PatchDataset) -> np.ndarray[Any, Any]:
    """The DFI of every cell, stained by the trained run."""
    stainer = Stainer.load(run)
    stains = stainer.stain(np.asarray(dataset.brightfield[:], dtype=np.float32))
    values: np.ndarray[Any, Any] = stainer.quantifier.measure(stains, stainer.stains)["dfi"]
    return values


def read(experiment: Experiment, weak: PatchDataset, like: PatchDataset, *names: str) -> WeakBatch:
    known = {quantity.name: quantity for quantity in QUANTITIES}
    wanted = [known.get(name, Quantity(name=name, unit="1", description="Unknown.")) for name in names or ("dfi",)]
    found = load_weak_targets(experiment, weak, like, SCALE, wanted)
    assert found is not None
    return found


# ----------------------------------------------------------------------------------------------------- what it learns


def test_the_weak_term_alone_moves_the_dfi_to_the_target(
    tiny_dataset: PatchDataset, weak_dataset: PatchDataset, mixed: Make
) -> None:
    experiment = mixed()
    objective = plan_objective(experiment, tiny_dataset, SCALE)
    assert objective.quantity is not None
    targets = read(experiment, weak_dataset, tiny_dataset)
    torch.manual_seed(0)
    network = registry().create("generator", "fast", FAST).networks(1, 2, SIZE).generator
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)

    def error() -> float:
        with torch.inference_mode():
            return float((objective.quantity.measure(network(targets.brightfield))["dfi"] - DFI).abs().mean())

    before = error()
    assert before > 0.1
    for _ in range(60):
        optimiser.zero_grad()
        objective.generator_loss(objective.weak_terms(network(targets.brightfield), targets.measured)).backward()
        optimiser.step()
    assert error() < 0.1 * before


def test_weak_cells_are_learned_beside_cells_with_images(
    tiny_dataset: PatchDataset, weak_dataset: PatchDataset, mixed: Make, make_experiment: Make, tmp_path: Path
) -> None:
    """The cells with images have a DFI of 0.13, the weak ones, on a darker background, 0.4: one network gives both."""
    rest = {"generator": {"name": "fast", **FAST}, "learning_rate": 5e-3, "epochs": 50, "checkpoint_every": 100}
    train(mixed({"lambda_quantity": 300}, {"share": 1}, **rest), tiny_dataset, tmp_path / "mixed", weak_dataset)
    alone = make_experiment(objective={"lambda_gan": 0, "lambda_quantity": 300}, models="joint", **rest)
    train(alone, tiny_dataset, tmp_path / "alone")
    mixed_error, alone_error = (np.abs(virtual_dfi(tmp_path / run, weak_dataset) - DFI).mean() for run in RUNS)
    assert mixed_error < 0.05
    assert mixed_error < 0.3 * alone_error
    paired_error = np.abs(virtual_dfi(tmp_path / "mixed", tiny_dataset) - 30 / 230).mean()
    assert paired_error < 0.05
    with (tmp_path / "mixed" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["weak_quantity"]) < 0.3 * float(rows[0]["weak_quantity"])
    with (tmp_path / "alone" / "metrics.csv").open(newline="") as file:
        assert {row["weak_quantity"] for row in csv.DictReader(file)} == {""}


def test_a_prolonged_mixed_training_equals_a_long_one_bit_for_bit(
    tiny_dataset: PatchDataset, weak_dataset: PatchDataset, mixed: Make, tmp_path: Path
) -> None:
    train(mixed(epochs=3), tiny_dataset, tmp_path / "long", weak_dataset)
    train(mixed(epochs=1), tiny_dataset, tmp_path / "prolonged", weak_dataset)
    torch.rand(5)
    train(mixed(epochs=3), tiny_dataset, tmp_path / "prolonged", weak_dataset)
    expected, actual = (read_weights(tmp_path / name / "checkpoints" / FINAL).tensors for name in ("long", "prolonged"))
    assert [name for name in expected if not torch.equal(expected[name], actual[name])] == []


def test_other_weak_cells_are_another_training(
    tiny_dataset: PatchDataset,
    weak_dataset: PatchDataset,
    make_weak: Callable[..., PatchDataset],
    mixed: Make,
    run: Path,
) -> None:
    train(mixed(epochs=1), tiny_dataset, run, weak_dataset)
    with pytest.raises(VsfError, match="another experiment or dataset"):
        train(mixed(epochs=2), tiny_dataset, run, make_weak(dfi=0.3))


# ------------------------------------------------------------------------------------------------------ how it is read


def test_cells_come_with_their_own_values_and_no_held_out_donor(
    tiny_dataset: PatchDataset, weak_dataset: PatchDataset, mixed: Make
) -> None:
    found = read(mixed(weak={"crop_px": SIZE}), weak_dataset, tiny_dataset, "dsDNA_sum", "dfi")
    cells = weak_dataset.accepted(donors=["S1", "S2"])  # donor3 is held out by the tiny experiment
    assert found.measured["dsDNA_sum"].tolist() == cells["dsDNA_sum"].tolist()
    assert len(found) == 6
    expected = SCALE.brightfield_to_input(np.asarray(weak_dataset.brightfield.oindex[cells["patch"].to_numpy()]))
    np.testing.assert_array_equal(found.brightfield.numpy(), expected)


def test_a_sum_grows_with_the_area_and_a_dfi_does_not(
    tiny_dataset: PatchDataset, weak_dataset: PatchDataset, mixed: Make
) -> None:
    found = read(mixed(weak={"crop_px": 2 * SIZE}), weak_dataset, tiny_dataset, "dfi", "dsDNA_sum")
    assert found.measured["dsDNA_sum"][0].item() == pytest.approx(1000 / 4)
    assert found.measured["dfi"][0].item() == pytest.approx(DFI)


def test_a_sum_without_its_area_is_refused(tiny_dataset: PatchDataset, weak_dataset: PatchDataset, mixed: Make) -> None:
    with pytest.raises(UsageError, match=r"weak\.crop_px is missing: dsDNA_sum is a sum"):
        read(mixed(), weak_dataset, tiny_dataset, "dsDNA_sum")


@pytest.mark.parametrize(
    ("made", "sentence"), [({"size": 32}, "32 px.*16 px"), ({"bit_depth": 12}, "12 bits per pixel.*8 bits per pixel")]
)
def test_cells_of_another_geometry_or_camera_are_refused(
    tiny_dataset: PatchDataset, make_weak: Callable[..., PatchDataset], mixed: Make, made: dict[str, int], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        read(mixed(), make_weak(**made), tiny_dataset)


def test_what_was_not_measured_cannot_be_learned(
    tiny_dataset: PatchDataset, weak_dataset: PatchDataset, make_weak: Callable[..., PatchDataset], mixed: Make
) -> None:
    with pytest.raises(VsfError, match=r"no measured ploidy; it has dfi, dsDNA_sum"):
        read(mixed(), weak_dataset, tiny_dataset, "ploidy")
    with pytest.raises(VsfError, match="dfi of cell weak0 is not a number"):
        read(mixed(), make_weak(dfi=float("nan")), tiny_dataset)


def test_someone_must_be_left(tiny_dataset: PatchDataset, weak_dataset: PatchDataset, mixed: Make) -> None:
    with pytest.raises(VsfError, match="held-out donor"):
        read(mixed(test_donors=("S1", "S2", "donor3")), weak_dataset, tiny_dataset)


def test_the_dataset_is_found_beside_the_experiment_file(weak_dataset: PatchDataset, mixed: Make) -> None:
    here = open_weak_dataset(mixed(weak={"dataset": weak_dataset.path.name}), weak_dataset.path.parent)
    assert here is not None
    assert here.info["hash"] == weak_dataset.info["hash"]
    with pytest.raises(UsageError, match=r"there is no dataset in .*nowhere"):
        open_weak_dataset(mixed(weak={"dataset": "nowhere"}), weak_dataset.path.parent)


@pytest.fixture
def experiment_file(tiny_dataset: PatchDataset, weak_dataset: PatchDataset, tmp_path: Path) -> Path:
    """An experiment file with its built dataset, and the weak dataset beside it."""
    shutil.copytree(tiny_dataset.path, tmp_path / "run" / "dataset")
    shutil.copytree(weak_dataset.path, tmp_path / "labels")
    tables = {
        "data": {"root": "raw"},
        "patches": {"size": SIZE},
        "split": {"test_donors": ["donor3"]},
        "generator": {"name": "fast", **FAST},
        "training": {"models": "joint", "epochs": 1, "batch_size": 4, "accelerator": "cpu"},
        "objective": {"lambda_gan": 0, "lambda_quantity": 10},
        "weak": {"dataset": "labels"},
    }
    write_experiment(parse_experiment(tables, "the experiment"), tmp_path / "experiment.toml")
    return tmp_path / "experiment.toml"


def test_the_train_command_finds_the_weak_dataset(experiment_file: Path) -> None:
    result = CliRunner().invoke(train_command, [str(experiment_file)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with (experiment_file.parent / "run" / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["weak_quantity"]) > 0
    assert float(row["quantity"]) > 0


def test_a_run_trains_again_when_the_objective_or_the_weak_cells_change(
    experiment_file: Path, make_weak: Callable[..., PatchDataset]
) -> None:
    def key(*overrides: str) -> str:
        stage = next(stage for stage in Run(experiment_file, overrides).stages if stage.name == "train")
        return json.dumps(stage.key(), sort_keys=True)

    before = key()
    assert key() == before
    assert key("objective.lambda_quantity=11") != before
    assert key("weak.share=1") != before
    assert key("quantifier.mode=area") != before
    shutil.rmtree(experiment_file.parent / "labels")
    shutil.copytree(make_weak(dfi=0.2).path, experiment_file.parent / "labels")
    assert key() != before


def test_named_and_not_opened_is_refused(tiny_dataset: PatchDataset, mixed: Make, run: Path) -> None:
    with pytest.raises(UsageError, match=r"weak\.dataset"):
        train(mixed(), tiny_dataset, run)


@given(st.integers(1, 30), st.integers(1, 20), st.integers(1, 8), st.floats(0.1, 4), st.integers(1, 99))
def test_weak_cells_are_seen_equally_often(count: int, steps: int, batch: int, share: float, epoch: int) -> None:
    targets = WeakBatch(brightfield=torch.zeros(count, 1, 1, 1), measured={"dfi": torch.arange(float(count))})
    tables = {
        "data": {"root": "raw"},
        "training": {"batch_size": batch, "models": "joint"},
        "objective": {"lambda_quantity": 1},
        "weak": {"dataset": "labels", "share": share},
    }
    experiment = parse_experiment(tables, "test")
    seen = [part for part in weak_batches(targets, steps, experiment, epoch) if part is not None]
    again = [part for part in weak_batches(targets, steps, experiment, epoch) if part is not None]
    assert len(seen) == steps
    assert {len(part) for part in seen} == {max(1, round(share * batch))}
    cells = torch.cat([part.measured["dfi"] for part in seen])
    assert torch.equal(cells, torch.cat([part.measured["dfi"] for part in again]))
    times = torch.bincount(cells.int(), minlength=count)
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_step_takes_a_share_of_one_batch_also_when_it_adds_several_up(
    tiny_dataset: PatchDataset,
    weak_dataset: PatchDataset,
    mixed: Make,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    accumulate: int,
) -> None:
    """Seven cells with images, two per batch: a step takes 2 * `accumulate` of them, and 1.5 * 2 = 3 weak ones."""
    taken, step = [], Model.step

    def watched(self: Model, brightfield: torch.Tensor, stains: torch.Tensor, weak: Any, *rest: Any) -> Any:
        taken.append((len(brightfield), len(weak)))
        return step(self, brightfield, stains, weak, *rest)

    monkeypatch.setattr(Model, "step", watched)
    experiment = mixed(weak={"share": 1.5}, batch_size=2, accumulate=accumulate, epochs=1)
    train(experiment, tiny_dataset, run, weak_dataset)
    per_step = {1: [2, 2, 2, 1], 3: [6, 1]}[accumulate]
    assert taken == [(cells, 3) for cells in per_step]


def test_without_weak_cells_batches_are_as_they_were(make_experiment: Make) -> None:
    assert list(weak_batches(None, 3, make_experiment(), 1)) == [None] * 3


@pytest.mark.realdata
def test_the_crops_of_mccallum_are_weak_targets(real_data: Path, tiny_dataset: PatchDataset, tmp_path: Path) -> None:
    """A few real cells: their sums, scaled to the patch, keep their DFI."""
    source = real_data / "mccallum2019_crops"
    crops = tmp_path / "crops"
    crops.mkdir()
    for path in [*sorted(source.glob("*.jpg"))[:6], source / "DFIs.csv"]:
        (crops / path.name).symlink_to(path)
    tables = {
        "data": {"root": "crops", "layout": "mccallum-crops", "labels": "DFIs.csv"},
        "patches": {"size": SIZE},
        "training": {"models": "joint"},
        "objective": {"lambda_quantity": 1},
        "weak": {"dataset": "built", "crop_px": 150},
    }
    experiment = parse_experiment(tables, "crops")
    weak = build(experiment, tmp_path, tmp_path / "built")
    found = load_weak_targets(experiment, weak, tiny_dataset, SCALE, weak.quantities)
    assert found is not None
    double, single = found.measured["dsDNA_sum"], found.measured["ssDNA_sum"]
    np.testing.assert_allclose((single / (single + double)).numpy(), found.measured["dfi"].numpy(), rtol=1e-5)
    np.testing.assert_allclose(double.numpy(), weak.accepted()["dsDNA_sum"].to_numpy() * (SIZE / 150) ** 2, rtol=1e-6)
