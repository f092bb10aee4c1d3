"""Two processes that share every batch (DDP, gloo, on the processor) train what one process trains."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vsframework import UsageError
from vsframework.config import Experiment, write_experiment
from vsframework.dataset.store import PatchDataset
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_weights

Make = Callable[..., Experiment]
# no layer looks at the batch and nothing is drawn, so that sharing a batch changes nothing but the order of sums
PLAIN = {"norm": "none", "dropout": 0.0, "discriminator_norm": "none"}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def vsf_train(experiment: Path) -> None:
    """Run ``vsf train`` as a person does; it starts its second process itself."""
    command = Path(sys.executable).with_name("vsf")
    environment = {**os.environ, "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, str(command), "train", str(experiment)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr


def losses(run: Path) -> list[list[float]]:
    names = ("l1", "adversarial", "discriminator_real", "discriminator_virtual")
    with (run / "metrics.csv").open(newline="") as file:
        return [
            [float(row[name]) for name in names] for row in csv.DictReader(file) if row["l1"] and row["adversarial"]
        ]


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_give_the_losses_of_one(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path, accumulate: int
) -> None:
    """7 patches in batches of 4 (or 2 times 2): in the last batch one process has less to do than the other."""
    settings = {"epochs": 3, "batch_size": 4 // accumulate, "accumulate": accumulate, "ema_decay": 0.5}
    train(make_experiment(PLAIN, **settings), tiny_dataset, tmp_path / "one")
    shared = tmp_path / "two"
    (shared / "run").mkdir(parents=True)
    shutil.copytree(tiny_dataset.path, shared / "run" / "dataset")
    for epochs in (2, 3):  # the second call goes on from the first one's checkpoint
        experiment = make_experiment(PLAIN, **{**settings, "epochs": epochs}, devices=2)
        write_experiment(experiment, shared / "experiment.toml")
        vsf_train(shared / "experiment.toml")
    expected, actual = losses(tmp_path / "one"), losses(shared / "run")
    assert len(expected) == len(actual) == 6
    torch.testing.assert_close(torch.tensor(actual), torch.tensor(expected), rtol=1e-4, atol=1e-5)
    one = read_weights(tmp_path / "one" / "checkpoints" / FINAL).tensors
    two = read_weights(shared / "run" / "checkpoints" / FINAL).tensors
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)


def test_a_batch_that_cannot_be_shared_is_one_sentence(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    with pytest.raises(UsageError, match=r"training\.batch_size = 3 cannot be shared by training\.devices = 2"):
        train(make_experiment(batch_size=3, devices=2), tiny_dataset, run)


@pytest.mark.slow
def test_two_processes_hold_the_same_statistics(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path
) -> None:
    """Held from the first step, batch normalisation looks at no batch: shared batches give the losses of whole ones."""
    settings = {"mode": "deploy", "held_share": 1.0, "epochs": 3, "batch_size": 4}
    generator = {"discriminator_norm": "none"}
    train(make_experiment(generator, **settings), tiny_dataset, tmp_path / "one")
    shared = tmp_path / "two"
    (shared / "run").mkdir(parents=True)
    shutil.copytree(tiny_dataset.path, shared / "run" / "dataset")
    write_experiment(make_experiment(generator, **settings, devices=2), shared / "experiment.toml")
    vsf_train(shared / "experiment.toml")
    torch.testing.assert_close(
        torch.tensor(losses(shared / "run")), torch.tensor(losses(tmp_path / "one")), rtol=1e-4, atol=1e-5
    )
