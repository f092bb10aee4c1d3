"""The objective of an experiment file, in a real training."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vsframework import VsfError
from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.training import train

Make = Callable[..., Experiment]

EVERYTHING: dict[str, Any] = {
    "lambda_l1": 100,
    "lambda_l2": 10,
    "lambda_gan": 1,
    "gan": "lsgan",
    "lambda_ssim": 1,
    "lambda_gradient": 10,
    "lambda_quantity": 30,
}


def last_row(run: Path) -> dict[str, str]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))[-1]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_term_is_trained_on_and_told(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path, precision: str
) -> None:
    train(make_experiment(objective=EVERYTHING, models="joint", epochs=2, precision=precision), tiny_dataset, run)
    row = last_row(run)
    assert all(float(row[term]) > 0 for term in ("l1", "l2", "adversarial", "ssim", "gradient", "quantity"))
    assert row["weak_quantity"] == ""


def test_terms_without_a_weight_are_not_computed(tiny_dataset: PatchDataset, make_experiment: Make, run: Path) -> None:
    train(make_experiment(epochs=1), tiny_dataset, run)
    row = last_row(run)
    assert [row[term] for term in ("l2", "ssim", "gradient", "quantity")] == [""] * 4
    assert float(row["adversarial"]) > 0


@pytest.mark.parametrize("change", [{"lambda_l1": 50}, {"gan": "lsgan"}, {"lambda_ssim": 1}])
def test_another_objective_is_another_training(
    tiny_dataset: PatchDataset, make_experiment: Make, run: Path, change: dict[str, Any]
) -> None:
    train(make_experiment(epochs=1), tiny_dataset, run)
    with pytest.raises(VsfError, match="another experiment or dataset"):
        train(make_experiment(epochs=2, objective=change), tiny_dataset, run)
