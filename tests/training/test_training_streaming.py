"""Patches from disk are the patches from memory; a full disk and a dry run leave everything as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vsframework import VsfError
from vsframework.config import Experiment, write_experiment
from vsframework.dataset.store import PatchDataset
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_weights
from vsframework.training.plan import plan_training
from vsframework.training.streaming import PatchesInMemory, StreamedPatches, open_patches

Make = Callable[..., Experiment]


def test_streamed_patches_are_those_in_memory(tiny_dataset: PatchDataset, make_experiment: Make) -> None:
    memory = open_patches(make_experiment(), tiny_dataset)
    streamed = open_patches(make_experiment(memory_gib=1e-9), tiny_dataset)
    assert isinstance(memory, PatchesInMemory)
    assert isinstance(streamed, StreamedPatches)
    assert streamed.normalisation == memory.normalisation
    assert len(streamed) == len(memory) == 7
    order = list(torch.randperm(7, generator=torch.Generator().manual_seed(1)).split(2))
    pairs = zip(streamed.batches(order), memory.batches(order), strict=True)
    assert all(torch.equal(one, other) for ours, theirs in pairs for one, other in zip(ours, theirs, strict=True))


def test_a_reader_that_is_not_wanted_any_more_ends(tiny_dataset: PatchDataset, make_experiment: Make) -> None:
    import threading

    streamed = open_patches(make_experiment(memory_gib=1e-9), tiny_dataset)
    before = threading.active_count()
    batches = streamed.batches([torch.tensor([0])] * 50)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_shards_that_are_gone_are_one_sentence(tiny_dataset: PatchDataset, make_experiment: Make) -> None:
    streamed = open_patches(make_experiment(memory_gib=1e-9), tiny_dataset)
    with pytest.raises(VsfError, match="cannot be read"):
        list(streamed.batches([torch.tensor([99])]))


def test_training_from_disk_gives_the_same_weights(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path
) -> None:
    train(make_experiment(epochs=2), tiny_dataset, tmp_path / "memory")
    train(make_experiment(epochs=2, memory_gib=1e-9), tiny_dataset, tmp_path / "disk")
    memory, disk = (read_weights(tmp_path / name / "checkpoints" / FINAL).tensors for name in ("memory", "disk"))
    assert all(torch.equal(value, disk[name]) for name, value in memory.items())


def test_a_disk_without_room_is_one_sentence_and_the_older_checkpoint_is_kept(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path
) -> None:
    """A limit on the size of files stands for a full disk: writing fails in the middle of the checkpoint."""
    run = tmp_path / "run"
    train(make_experiment(epochs=1), tiny_dataset, run)
    kept = {path: path.read_bytes() for path in (run / "checkpoints").glob("epoch-*")}
    write_experiment(make_experiment(epochs=2), tmp_path / "experiment.toml")
    (tmp_path / "run" / "dataset").symlink_to(tiny_dataset.path)
    code = (
        "import resource, sys; from vsframework.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(next(iter(kept.values()))) // 2},) * 2); "
        "sys.argv = ['vsf', 'train', sys.argv[1]]; main()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "experiment.toml")], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    (sentence,) = [line for line in answer.stderr.splitlines() if line.startswith("Error:")]
    assert "epoch-000002.safetensors" in sentence
    assert "disk" in sentence
    assert {path: path.read_bytes() for path in (run / "checkpoints").glob("epoch-*")} == kept
    assert not list((run / "checkpoints").glob(".*"))


def test_a_dry_run_counts_the_paper_s_networks_and_writes_nothing(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment(epochs=10, batch_size=2, validation_donors=("donor2",), ema_decay=0.9)
    plan = plan_training(experiment, tiny_dataset)
    assert [(network.model, network.role) for network in plan.networks] == [
        (model, role) for model in ("dsDNA", "ssDNA") for role in ("generator", "discriminator")
    ]
    assert (plan.patches, plan.validation_patches, plan.steps) == (4, 3, 20)
    generators = sum(network.parameters for network in plan.networks if network.role == "generator")
    everything = sum(network.parameters for network in plan.networks)
    assert plan.state_gib == pytest.approx(4 * (4 * everything + generators) / 2**30)
    assert plan.activations_gib > 0
    assert plan.hours == pytest.approx(plan.steps * plan.seconds_per_step / 3600)


def test_a_checkpoint_is_as_large_as_the_dry_run_says(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    experiment = make_experiment({"width": 16}, epochs=1)
    train(experiment, tiny_dataset, run)
    (state,) = (run / "checkpoints").glob("epoch-*")
    assert state.stat().st_size / 2**30 == pytest.approx(
        plan_training(experiment, tiny_dataset).checkpoint_gib, rel=0.2
    )


def test_the_command_shows_the_plan_and_then_what_the_switch_of_modes_costs(
    tiny_dataset: PatchDataset,
    make_experiment: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vsframework.cli import main

    def vsf(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["vsf", "train", str(tmp_path / "experiment.toml"), *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 0
        return capsys.readouterr().out

    write_experiment(make_experiment(epochs=2, validation_donors=("donor2",)), tmp_path / "experiment.toml")
    run = tmp_path / "run"
    run.mkdir()
    (run / "dataset").symlink_to(tiny_dataset.path)
    shown = vsf("--dry-run")
    assert "dsDNA generator" in shown
    assert "4 to train on" in shown
    assert json.loads(vsf("--dry-run", "--json"))["patches"] == 4
    assert [path.name for path in run.iterdir()] == ["dataset"]
    told = vsf()
    assert "Trained in paper mode" in told
    assert "3 cells of validation donors (donor2)" in told
    modes = json.loads(vsf("--json"))["modes"]
    assert f"{modes['deploy_error'] - modes['trained_error']:+.4f}" in told
