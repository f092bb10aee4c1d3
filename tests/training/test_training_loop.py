"""Training from patches to generators: what it writes, how it resumes, and when it stops."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vsframework import UsageError, VsfError
from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_header, read_weights, write_weights

Make = Callable[..., Experiment]


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    return read_weights(run / "checkpoints" / FINAL).tensors


def states(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("epoch-*"))


def assert_same_weights(one: Path, other: Path) -> None:
    expected, actual = final_weights(one), final_weights(other)
    assert expected.keys() == actual.keys()
    different = [name for name in expected if not torch.equal(expected[name], actual[name])]
    assert different == []


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_holds_everything_that_staining_needs(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    train(make_experiment(), tiny_dataset, run)
    header = read_header(run / "checkpoints" / FINAL)
    assert header["stains"] == ["dsDNA", "ssDNA"]
    assert [model["channels"] for model in header["models"]] == [[0], [1]]
    # donor3 is held out: its brighter stains must not set the range
    assert header["normalisation"] == {"brightfield_full_scale": 255.0, "stain_full_scale": [200.0, 30.0]}
    assert header["patches"] == 7
    assert header["generator"]["name"] == "vsf-plugins:pix2pix"
    assert header["generator"]["distribution"] == "vsf-plugins"
    assert header["dataset_hash"] == tiny_dataset.info["hash"]
    assert (run / "config.toml").exists()
    assert list((run / "tensorboard").iterdir())
    assert len(states(run)) == 2
    rows = metrics(run)
    assert [(row["epoch"], row["model"]) for row in rows] == [
        (str(epoch), model) for epoch in range(1, 5) for model in ("dsDNA", "ssDNA")
    ]
    assert all(float(row["l1"]) > 0 and float(row["images_per_second"]) > 0 for row in rows)


@pytest.mark.parametrize("generator", ["pix2pix", "pix2pix++"])
def test_training_learns(tiny_dataset: PatchDataset, make_experiment: Make, run: Path, generator: str) -> None:
    architecture = {"name": generator, "dropout": 0.0}
    train(make_experiment(architecture, epochs=10, learning_rate=5e-3, batch_size=2), tiny_dataset, run)
    rows = [row for row in metrics(run) if row["model"] == "dsDNA"]
    assert float(rows[-1]["l1"]) < 0.6 * float(rows[0]["l1"])


def test_the_range_of_stains_can_be_the_camera_s(tiny_dataset: PatchDataset, make_experiment: Make, run: Path) -> None:
    train(make_experiment(epochs=1, stain_range="bit-depth"), tiny_dataset, run)
    assert read_header(run / "checkpoints" / FINAL)["normalisation"]["stain_full_scale"] == [255.0, 255.0]


def test_one_joint_model_gives_all_stains(tiny_dataset: PatchDataset, make_experiment: Make, run: Path) -> None:
    train(make_experiment(epochs=1, models="joint"), tiny_dataset, run)
    assert read_header(run / "checkpoints" / FINAL)["models"] == [{"name": "joint", "channels": [0, 1]}]
    assert [row["model"] for row in metrics(run)] == ["joint"]


def test_without_an_adversarial_weight_there_is_no_discriminator(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    train(make_experiment(epochs=1, objective={"lambda_gan": 0}), tiny_dataset, run)
    assert not [name for name in read_weights(states(run)[-1]).tensors if "discriminator" in name]
    assert metrics(run)[0]["adversarial"] == ""


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path
) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        train(make_experiment(epochs=1, seed=seed), tiny_dataset, tmp_path / name)
    assert_same_weights(tmp_path / "one", tmp_path / "same")
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "one", tmp_path / "other")


# ------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("generator", ["pix2pix", "pix2pix++"])
@pytest.mark.parametrize("models", ["separate", "joint"])
def test_a_prolonged_training_equals_a_long_one_bit_for_bit(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path, generator: str, models: str
) -> None:
    architecture = {"name": generator}
    train(make_experiment(architecture, epochs=3, models=models), tiny_dataset, tmp_path / "long")
    train(make_experiment(architecture, epochs=1, models=models), tiny_dataset, tmp_path / "prolonged")
    torch.rand(7)  # whatever else draws random numbers in between
    train(make_experiment(architecture, epochs=3, models=models), tiny_dataset, tmp_path / "prolonged")
    assert_same_weights(tmp_path / "long", tmp_path / "prolonged")
    losses = [[{**row, "images_per_second": ""} for row in metrics(tmp_path / name)] for name in ("long", "prolonged")]
    assert losses[0] == losses[1]


def test_a_trained_run_is_left_alone(tiny_dataset: PatchDataset, make_experiment: Make, run: Path) -> None:
    train(make_experiment(epochs=1), tiny_dataset, run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    train(make_experiment(epochs=1), tiny_dataset, run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_a_damaged_checkpoint_costs_one_sentence_and_the_older_one_serves(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    train(make_experiment(epochs=3), tiny_dataset, tmp_path / "whole")
    run = tmp_path / "run"
    train(make_experiment(epochs=2), tiny_dataset, run)
    newest = states(run)[-1]
    data = newest.read_bytes()
    newest.write_bytes(
        {"truncated": data[: len(data) // 2], "empty": b"", "foreign": b"PK\x03\x04 not ours" * 9}[damage]
    )
    with caplog.at_level(logging.WARNING):
        train(make_experiment(epochs=3), tiny_dataset, run)
    assert [record.message for record in caplog.records if newest.name in record.message]
    assert_same_weights(tmp_path / "whole", run)


def test_only_damaged_checkpoints_are_an_error(tiny_dataset: PatchDataset, make_experiment: Make, run: Path) -> None:
    train(make_experiment(epochs=2), tiny_dataset, run)
    for path in states(run):
        path.write_bytes(b"")
    with pytest.raises(VsfError, match="none of the checkpoints"):
        train(make_experiment(epochs=3), tiny_dataset, run)


@pytest.mark.parametrize(
    "change", [{"learning_rate": 1e-3}, {"seed": 5}, {"generator": {"dropout": 0.1}}, {"test_donors": ("donor1",)}]
)
def test_checkpoints_of_another_experiment_are_refused(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path, change: dict[str, object]
) -> None:
    train(make_experiment(epochs=1), tiny_dataset, run)
    before = (run / "config.toml").read_text()
    with pytest.raises(VsfError, match="another experiment or dataset"):
        train(make_experiment(epochs=2, **change), tiny_dataset, run)
    assert (run / "config.toml").read_text() == before


def test_fewer_epochs_than_are_done_are_refused(tiny_dataset: PatchDataset, make_experiment: Make, run: Path) -> None:
    train(make_experiment(epochs=2), tiny_dataset, run)
    with pytest.raises(VsfError, match=r"already at epoch 2.*training\.epochs = 1"):
        train(make_experiment(epochs=1), tiny_dataset, run)


# ------------------------------------------------------------------------------------------------------- stopping


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    train(make_experiment(epochs=1), tiny_dataset, run)
    state = read_weights(states(run)[-1])
    name = "ssDNA/generator/weights/head.bias"
    write_weights(states(run)[-1], {**state.tensors, name: state.tensors[name] * float("nan")}, state.header)
    kept = {path: path.read_bytes() for path in states(run)}
    with pytest.raises(VsfError, match=r"ssDNA \(l1.*stopped being a number in epoch 2"):
        train(make_experiment(epochs=3), tiny_dataset, run)
    assert {path: path.read_bytes() for path in states(run)} == kept


def test_a_held_out_donor_that_does_not_exist_is_named(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    with pytest.raises(UsageError, match="donor9"):
        train(make_experiment(test_donors=("donor9",)), tiny_dataset, run)


def test_someone_must_be_left_to_train_on(tiny_dataset: PatchDataset, make_experiment: Make, run: Path) -> None:
    with pytest.raises(VsfError, match="held-out"):
        train(make_experiment(test_donors=("donor1", "donor2", "donor3")), tiny_dataset, run)


def test_patches_that_do_not_fit_the_generator_are_refused(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    with pytest.raises(UsageError, match="multiple of 32 px"):
        train(make_experiment({"depth": 5}), tiny_dataset, run)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_accelerator_that_is_not_there_is_one_sentence(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    with pytest.raises(VsfError, match=r"training\.accelerator = 'cuda'"):
        train(make_experiment(accelerator="cuda"), tiny_dataset, run)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    run.mkdir(mode=0o500)
    with pytest.raises(VsfError, match="cannot be written"):
        train(make_experiment(epochs=1), tiny_dataset, run)
