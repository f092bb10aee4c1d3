"""Schedules, averaged weights, accumulated gradients, validation donors, and losses that go wrong."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vsframework import UsageError, VsfError
from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_header, read_weights
from vsframework.training.position import Position
from vsframework.training.schedule import learning_rate_factor

Make = Callable[..., Experiment]
# no layer looks at the batch and nothing is drawn: parts of a batch add up to the whole
PLAIN = {"norm": "none", "dropout": 0.0, "discriminator_norm": "none"}


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    return read_weights(run / "checkpoints" / FINAL).tensors


def rows(run: Path, model: str = "dsDNA") -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["model"] == model]


# ------------------------------------------------------------------------------------------------- learning rate


@given(st.sampled_from(["constant", "linear", "cosine"]), st.integers(1, 2000))
def test_a_learning_rate_starts_whole_never_rises_and_never_ends(schedule: str, epochs: int) -> None:
    factors = [learning_rate_factor(schedule, epoch, epochs) for epoch in range(1, epochs + 1)]
    assert all(0 < factor <= 1 for factor in factors)
    assert all(later <= earlier for earlier, later in pairwise(factors))
    if schedule == "constant" or epochs > 1:
        assert factors[0] == 1


def test_the_learning_rate_follows_the_schedule(tiny_dataset: PatchDataset, make_experiment: Make, run: Path) -> None:
    train(make_experiment(epochs=4, schedule="cosine", learning_rate=0.001), tiny_dataset, run)
    expected = [0.001 * (1 + math.cos(math.pi * done / 4)) / 2 for done in range(4)]
    assert [float(row["learning_rate"]) for row in rows(run)] == pytest.approx(expected, rel=1e-5)


def test_a_falling_learning_rate_cannot_be_prolonged(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    train(make_experiment(epochs=1, schedule="linear"), tiny_dataset, run)
    with pytest.raises(VsfError, match="another experiment"):
        train(make_experiment(epochs=2, schedule="linear"), tiny_dataset, run)


# -------------------------------------------------------------------------------------- averages and accumulation


def test_averaged_weights_stain(tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path) -> None:
    """One epoch of two steps: the average is (decay * first + (1 - decay) * second)."""
    common = {"batch_size": 4, "models": "joint", "generator": PLAIN, "test_donors": ("donor3",)}
    train(make_experiment(epochs=1, ema_decay=0.75, checkpoint_steps=1, **common), tiny_dataset, tmp_path / "averaged")
    train(make_experiment(epochs=1, checkpoint_steps=1, **common), tiny_dataset, tmp_path / "plain")
    first = read_weights(tmp_path / "plain" / "checkpoints" / "epoch-000000+000000001.safetensors").tensors
    last = final_weights(tmp_path / "plain")
    averaged = final_weights(tmp_path / "averaged")
    for name, value in averaged.items():
        before = first[f"joint/generator/weights/{name.removeprefix('joint/')}"]
        torch.testing.assert_close(value, 0.75 * before + 0.25 * last[name])
    assert any(not torch.equal(averaged[name], last[name]) for name in averaged)


def test_accumulated_parts_are_one_large_batch(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path
) -> None:
    for name, batch_size, accumulate in (("whole", 6, 1), ("parts", 2, 3)):
        experiment = make_experiment(PLAIN, epochs=2, batch_size=batch_size, accumulate=accumulate)
        train(experiment, tiny_dataset, tmp_path / name)
    for name, value in final_weights(tmp_path / "whole").items():
        torch.testing.assert_close(final_weights(tmp_path / "parts")[name], value, rtol=1e-4, atol=1e-5)
    for whole, parts in zip(rows(tmp_path / "whole"), rows(tmp_path / "parts"), strict=True):
        for term in ("l1", "adversarial", "discriminator_real", "discriminator_virtual"):
            assert float(parts[term]) == pytest.approx(float(whole[term]), rel=1e-4)


# ------------------------------------------------------------------------------------------------------ validation


def test_validation_donors_are_watched_and_never_trained_on(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    experiment = make_experiment(validation_donors=("donor2",), validation={"every": 2}, epochs=4)
    train(experiment, tiny_dataset, run)
    header = read_header(run / "checkpoints" / FINAL)
    assert header["patches"] == 4  # donor1 alone
    watched = rows(run, "validation")
    assert [row["epoch"] for row in watched] == ["2", "4"]
    errors = [float(row["quantity_error"]) for row in watched]
    best = 2 if errors[0] <= errors[1] else 4
    assert header["weights_of_epoch"] == best
    assert header["modes"]["of"] == "validation donors (donor2)"
    assert header["modes"]["deploy_error"] == pytest.approx(min(errors), rel=1e-5)


def test_training_stops_when_validation_gets_no_better_and_the_best_weights_stain(
    tiny_dataset: PatchDataset, make_experiment: Make, tmp_path: Path
) -> None:
    settings = {
        "generator": PLAIN,
        "validation_donors": ("donor2",),
        "validation": {"every": 1, "best": "l1", "patience": 2},
        "learning_rate": 0.02,
        "objective": {"lambda_gan": 0},
    }
    long = tmp_path / "long"
    train(make_experiment(epochs=60, **settings), tiny_dataset, long)
    header = read_header(long / "checkpoints" / FINAL)
    best = header["weights_of_epoch"]
    assert header["stopped_early"]
    assert header["trained_epochs"] == best + 2 < 60
    scores = [float(row["l1"]) for row in rows(long, "validation")]
    assert min(scores) == scores[best - 1]
    written = (long / "checkpoints" / FINAL).stat().st_mtime_ns
    train(make_experiment(epochs=60, **settings), tiny_dataset, long)
    assert (long / "checkpoints" / FINAL).stat().st_mtime_ns == written, "a training that stopped early is finished"
    train(make_experiment(epochs=best, **settings), tiny_dataset, tmp_path / "short")
    short = final_weights(tmp_path / "short")
    assert all(torch.equal(value, short[name]) for name, value in final_weights(long).items())


def test_one_donor_cannot_both_choose_and_judge(make_experiment: Make) -> None:
    with pytest.raises(UsageError, match="donor3 cannot be a test donor and a validation donor"):
        make_experiment(validation_donors=("donor3",))


def test_a_validation_donor_that_does_not_exist_is_named(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    with pytest.raises(UsageError, match="donor8"):
        train(make_experiment(validation_donors=("donor8",)), tiny_dataset, run)


# ------------------------------------------------------------------------------------------------ losses gone wrong


def test_an_exploding_loss_stops_with_the_last_good_checkpoint(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path
) -> None:
    experiment = make_experiment(PLAIN, epochs=40, learning_rate=20.0, batch_size=1)
    with pytest.raises(VsfError, match=r"(exploded|stopped being a number).* in epoch \d+; the last good checkpoint"):
        train(experiment, tiny_dataset, run)
    assert not (run / "checkpoints" / FINAL).exists()
    for path in (run / "checkpoints").glob("epoch-*"):
        assert all(bool(value.isfinite().all()) for value in read_weights(path).tensors.values())


def test_a_loss_explodes_relative_to_its_lowest_mean() -> None:
    position = Position()
    position.end_epoch({"joint": {"l1": 0.1, "quantity": 50.0}})
    position.check("joint", {"l1": 900.0, "quantity": 49_000.0})
    with pytest.raises(VsfError, match=r"joint exploded \(quantity = 5\.1e\+04\) in epoch 2"):
        position.check("joint", {"l1": 0.1, "quantity": 51_000.0})


@given(st.integers(0, 9), st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 5))
def test_a_position_survives_json(epoch: int, score: float, stale: int) -> None:
    position = Position(epoch=epoch, batch=3, sums={"m": {"l1": score}}, stale=stale)
    assert Position.from_json(json.loads(json.dumps(position.as_json()))) == position
    position.judge(score, epoch + 1)
    assert Position.from_json(json.loads(json.dumps(position.as_json()))) == position
