"""SIGKILL at any moment, also while a checkpoint is written: the weights end the same, bit for bit."""

from __future__ import annotations

import csv
import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch

from vsframework import VsfError
from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_weights, write_weights

Make = Callable[..., Experiment]

# everything that has a state or draws random numbers
EVERYTHING = {
    "generator": {"width": 16},
    "batch_size": 1,
    "accumulate": 2,
    "schedule": "cosine",
    "ema_decay": 0.9,
    "checkpoint_steps": 3,
    "memory_gib": 1e-9,
    "validation_donors": ("donor2",),
    "validation": {"every": 2},
    "augmentation": {
        "flip": True,
        "quarter_turns": True,
        "rotation_deg": 20.0,
        "shift_px": 2.0,
        "brightness": 0.1,
        "contrast": 0.1,
        "noise": 0.02,
    },
}
JOINT = {"models": "joint", "objective": {"lambda_quantity": 1.0, "lambda_gradient": 1.0}}


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that have imported everything already, so that a kill costs no seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["vsframework.training.loop", "kornia.augmentation", "torch.utils.tensorboard", "vsf_plugins.plugin"]
    )
    return context


def unfinished(run: Path) -> list[Path]:
    return list((run / "checkpoints").glob(".epoch-*"))


def kill(
    context: ForkServerContext, arguments: tuple[Experiment, PatchDataset, Path], *, writing: bool, delay: float
) -> tuple[bool, bool]:
    """Start training, kill it; gives whether it was killed before its end, and whether in the middle of a write."""
    run = arguments[2]
    metrics = run / "metrics.csv"
    before = metrics.stat().st_mtime_ns if metrics.exists() else 0
    process = context.Process(target=train, args=arguments)
    process.start()
    # training goes on once metrics.csv is written again
    while process.is_alive() and (not metrics.exists() or metrics.stat().st_mtime_ns == before):
        time.sleep(0.002)
    left = time.monotonic() + delay
    while process.is_alive() and (time.monotonic() < left or (writing and not unfinished(run))):
        time.sleep(0)
    process.kill()
    process.join()
    return process.exitcode == -9, bool(unfinished(run))


def assert_same_end(one: Path, other: Path) -> None:
    expected = read_weights(one / "checkpoints" / FINAL)
    actual = read_weights(other / "checkpoints" / FINAL)
    assert expected.header == actual.header
    assert expected.tensors.keys() == actual.tensors.keys()
    assert [name for name, value in expected.tensors.items() if not torch.equal(value, actual.tensors[name])] == []
    assert without_times(one) == without_times(other)


def without_times(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{**row, "images_per_second": ""} for row in csv.DictReader(file)]


@pytest.mark.parametrize("models", [{}, JOINT, {"mode": "deploy"}], ids=["separate", "joint", "deploy"])
def test_a_killed_training_ends_with_the_same_weights(
    tiny_dataset: PatchDataset,
    make_experiment: Make,
    tmp_path: Path,
    processes: ForkServerContext,
    models: dict[str, object],
) -> None:
    experiment = make_experiment(**{**EVERYTHING, **models, "epochs": 16})
    arguments = (experiment, tiny_dataset, tmp_path / "killed")
    killed = [kill(processes, arguments, writing=writing, delay=0.1) for writing in (False, True)]
    assert all(before_the_end for before_the_end, _ in killed)
    train(*arguments)
    train(experiment, tiny_dataset, tmp_path / "whole")
    assert_same_end(tmp_path / "whole", tmp_path / "killed")
    assert not unfinished(tmp_path / "killed"), "what a killed process had begun to write is still there"


@pytest.mark.slow
def test_twenty_kills_at_random_moments(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path, processes: ForkServerContext
) -> None:
    experiment = make_experiment(**{**EVERYTHING, "epochs": 150})
    arguments = (experiment, tiny_dataset, tmp_path / "killed")
    draw = random.Random(20)
    kills = [kill(processes, arguments, writing=turn % 3 == 0, delay=draw.uniform(0, 0.3)) for turn in range(24)]
    assert sum(before_the_end for before_the_end, _ in kills) >= 20, "training ended too early: raise its epochs"
    assert sum(writing for _, writing in kills) >= 3, "no kill met a checkpoint while it was written"
    train(*arguments)
    train(experiment, tiny_dataset, tmp_path / "whole")
    assert_same_end(tmp_path / "whole", tmp_path / "killed")


def test_a_state_inside_an_epoch_is_gone_on_from(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path
) -> None:
    """The newest whole epoch is taken away, so that the state in the middle of it must serve."""
    experiment = make_experiment(**{**EVERYTHING, "checkpoint_every": 100, "epochs": 3})
    train(experiment, tiny_dataset, tmp_path / "whole")
    run = tmp_path / "again"
    train(experiment, tiny_dataset, run)
    (run / "checkpoints" / FINAL).unlink()
    (run / "checkpoints" / "epoch-000003.safetensors").unlink()
    assert [path.name for path in (run / "checkpoints").glob("epoch-*")] == ["epoch-000001+000000001.safetensors"]
    train(experiment, tiny_dataset, run)
    assert_same_end(tmp_path / "whole", run)


def test_best_weights_that_are_gone_cost_one_sentence(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = make_experiment(validation_donors=("donor2",), validation={"every": 1}, epochs=2)
    train(experiment, tiny_dataset, run)
    (run / "checkpoints" / FINAL).unlink()
    for path in (run / "checkpoints").glob("best-*"):
        path.write_bytes(b"")
    train(experiment, tiny_dataset, run)
    assert len([record for record in caplog.records if "the weights of the last epoch are used" in record.message]) == 1
    assert read_weights(run / "checkpoints" / FINAL).header["weights_of_epoch"] == 2


def test_a_checkpoint_of_another_plugin_version_is_refused(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    train(make_experiment(epochs=1), tiny_dataset, run)
    (run / "checkpoints" / FINAL).unlink()
    (newest,) = (run / "checkpoints").glob("epoch-*")
    state = read_weights(newest)
    older = {**state.header, "generator": {**state.header["generator"], "version": "0.0.1"}}
    write_weights(newest, state.tensors, older)
    with pytest.raises(VsfError, match=r"trained with vsf-plugins 0\.0\.1 and vsf-plugins .* is installed"):
        train(make_experiment(epochs=2), tiny_dataset, run)


def test_a_checkpoint_of_another_architecture_is_refused(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    train(make_experiment(epochs=1), tiny_dataset, run)
    with pytest.raises(VsfError, match=r"trained with the generator vsf-plugins:pix2pix and this experiment uses"):
        train(make_experiment({"name": "pix2pix++"}, epochs=2), tiny_dataset, run)
