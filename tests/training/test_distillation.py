"""A trained run as a teacher: what its student learns, and which teachers are refused."""

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

from vsframework import UsageError, VsfError
from vsframework.cli.train import command as train_command
from vsframework.config import Experiment, parse_experiment, write_experiment
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.inference import Stainer
from vsframework.interfaces import Quantity
from vsframework.pipeline import Run
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_header, read_weights, write_weights
from vsframework.training.data import Lesson
from vsframework.training.distillation import open_teaching, teaching_hashes, unlabelled_batches
from vsframework.training.models import Model, plan_models
from vsframework.training.normalisation import Normalisation
from vsframework.training.objective import plan_objective

Make = Callable[..., Experiment]

SIZE = 16
FAST = {"width": 8, "depth": 3, "discriminator": "none"}
NOTHING_ELSE = {"lambda_l1": 0, "lambda_gan": 0}


@pytest.fixture(scope="module")
def study(tiny_dataset: PatchDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``teacher``, a run that has not quite learned the discs of donor1 and donor2."""
    folder = tmp_path_factory.mktemp("distillation")
    train(student(teacher=None, epochs=15, learning_rate=5e-3), tiny_dataset, folder / "teacher")
    return folder


def student(
    objective: dict[str, Any] | None = None,
    distillation: dict[str, Any] | None = None,
    teacher: str | None = "teacher",
    split: dict[str, Any] | None = None,
    **training: Any,
) -> Experiment:
    """An experiment that learns from the run ``teacher`` beside it."""
    tables = {
        "data": {"root": "raw"},
        "patches": {"size": SIZE},
        "split": {"test_donors": ["donor3"], **(split or {})},
        "generator": {"name": "fast", **FAST},
        "training": {"models": "joint", "epochs": 2, "batch_size": 4, "accelerator": "cpu", **training},
        "objective": objective or {"lambda_gan": 0},
        **({"distillation": {"teacher": teacher, **(distillation or {})}} if teacher else {}),
    }
    return parse_experiment(tables, "the student")


def learn(experiment: Experiment, dataset: PatchDataset, study: Path, run: Path) -> dict[str, Any]:
    train(experiment, dataset, run, teaching=open_teaching(experiment, study))
    return read_header(run / "checkpoints" / FINAL)


def last_row(run: Path) -> dict[str, str]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))[-1]


@pytest.fixture(scope="session")
def brightfield_only(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PatchDataset]:
    """Discs of the donors new and donor3, never stained, and nothing measured."""

    def make(size: int = SIZE, donors: tuple[str, ...] = ("new", "donor3")) -> PatchDataset:
        random = np.random.default_rng(2)
        y, x = np.mgrid[:size, :size]
        out = tmp_path_factory.mktemp("unlabelled") / "dataset"
        with PatchWriter(out, stains=("dsDNA", "ssDNA"), size=size, has_stains=False) as writer:
            for index in range(6):
                disc = (x - random.uniform(5, 10)) ** 2 + (y - random.uniform(5, 10)) ** 2 < 16
                row = {"id": f"u{index}", "donor": donors[index % len(donors)], "field": "f", "reason": ""}
                writer.add(row, Patch(brightfield=np.where(disc, 60, 180).astype(np.float32)[None]))
            return writer.finish({}, [Quantity(name="dfi", unit="1", description="Never measured.")], 8)

    return make


# ------------------------------------------------------------------------------------------------------- what it learns


def test_a_student_learns_from_the_teacher_alone(tiny_dataset: PatchDataset, study: Path, run: Path) -> None:
    experiment = student(NOTHING_ELSE, epochs=60, learning_rate=5e-3, schedule="cosine", seed=1)
    learn(experiment, tiny_dataset, study, run)
    rows = tiny_dataset.accepted(["donor1", "donor2"])["patch"].to_numpy()
    patches = np.asarray(tiny_dataset.brightfield.oindex[rows], dtype=np.float32)
    taught, learned = (Stainer.load(folder).stain(patches) for folder in (study / "teacher", run))
    assert tiny_dataset.denoised is not None
    true = np.asarray(tiny_dataset.denoised.oindex[rows])
    assert np.abs(taught - learned).mean() < 0.3 * np.abs(true - learned).mean()
    row = last_row(run)
    assert 0 < float(row["taught_l1"]) < 0.5 * float(row["l1"])
    assert float(row["taught_quantity"]) < 0.01
    assert row["unlabelled_l1"] == row["quantity"] == ""


def test_stains_come_through_counts(tiny_dataset: PatchDataset, study: Path) -> None:
    """A student of half the range is asked for twice the output, where it can reach that."""
    experiment = student()
    teaching = open_teaching(experiment, study)
    assert teaching is not None
    own = Stainer.load(study / "teacher")
    brightfield = np.asarray(tiny_dataset.brightfield[:4], dtype=np.float32)
    scales = tuple(scale / 2 for scale in own.normalisation.stain_full_scale)
    half = Normalisation(brightfield_full_scale=255.0, stain_full_scale=scales)
    teaching.teacher.set_up(experiment, tiny_dataset, half, torch.device("cpu"))
    taught = teaching.teacher(torch.from_numpy(half.brightfield_to_input(brightfield))).numpy()
    expected = np.minimum(own.stain(brightfield), np.array(scales, dtype=np.float32)[:, None, None])
    np.testing.assert_allclose(half.output_to_counts(taught), expected, rtol=1e-4, atol=1e-2)
    assert taught.max() == 1
    assert taught.min() >= -1


def test_unlabelled_brightfield_is_taught_and_held_out_donors_are_left_out(
    tiny_dataset: PatchDataset, brightfield_only: Callable[..., PatchDataset], study: Path, run: Path
) -> None:
    experiment = student(distillation={"dataset": str(brightfield_only().path)})
    header = learn(experiment, tiny_dataset, study, run)
    assert float(last_row(run)["unlabelled_l1"]) > 0
    assert float(last_row(run)["unlabelled_quantity"]) > 0
    assert header["donors"]["trained_on"] == ["donor1", "donor2"]
    no_one_left = {"dataset": str(brightfield_only(donors=("donor3",)).path)}
    with pytest.raises(VsfError, match=r"\(distillation\.dataset\) belongs to a held-out donor"):
        learn(student(distillation=no_one_left), tiny_dataset, study, run.with_name("none-left"))
    other = student(distillation={"dataset": str(brightfield_only(32).path)})
    with pytest.raises(UsageError, match=r"distillation\.dataset: .* has patches of 32 px"):
        learn(other, tiny_dataset, study, run.with_name("other"))


def test_every_unlabelled_cell_comes_equally_often() -> None:
    experiment = student(distillation={"share": 0.5})
    images = torch.arange(5.0).view(5, 1, 1, 1)
    seen = [int(value) for part in unlabelled_batches(images, 5, experiment, 1) for value in part.flatten()]
    assert sorted(seen) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert list(unlabelled_batches(None, 2, experiment, 1)) == [None, None]


@pytest.mark.parametrize("models", ["joint", "separate"])
def test_parts_of_a_batch_are_taught_like_the_whole(
    tiny_dataset: PatchDataset, make_experiment: Make, models: str
) -> None:
    """The terms of six patches in one pass and in three are the same."""
    from vsframework.plugins import registry
    from vsframework.training.devices import launch

    generator = torch.Generator().manual_seed(3)
    brightfield = torch.rand(6, 1, SIZE, SIZE, generator=generator) * 2 - 1
    stains, taught = (torch.rand(6, 2, SIZE, SIZE, generator=generator) * 2 - 1 for _ in range(2))
    told = []
    for batch_size, accumulate in ((6, 1), (2, 3)):
        experiment = student(
            distillation={"lambda_quantity": 30.0 if models == "joint" else 0.0},
            models=models,
            batch_size=batch_size,
            accumulate=accumulate,
        )
        scale = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(200.0, 30.0))
        objective = plan_objective(experiment, tiny_dataset, scale)
        architecture = registry().create("generator", "fast", FAST)
        torch.manual_seed(0)
        plans = plan_models(experiment.training, ("dsDNA", "ssDNA"))
        model = Model(plans[-1], architecture, experiment, objective, SIZE)
        model.set_up(launch(experiment.training))
        told.append(model.step(brightfield, stains, lesson=Lesson(stains=taught)))
    expected = {"l1", "taught_l1"} | ({"taught_quantity"} if models == "joint" else set())
    assert told[0].keys() == expected
    for name, value in told[0].items():
        torch.testing.assert_close(told[1][name], value, rtol=1e-4, atol=1e-6)


# -------------------------------------------------------------------------------------------------- whose student it is


def test_the_teacher_is_part_of_what_a_student_is(tiny_dataset: PatchDataset, study: Path, run: Path) -> None:
    header = learn(student(epochs=1), tiny_dataset, study, run)
    assert header["teacher"]["run"] == "teacher"
    assert header["teacher"]["generator"]["name"] == "vsf-plugins:fast"
    assert header["teacher"]["donors"] == {"trained_on": ["donor1", "donor2"], "chosen_on": []}
    (run / "checkpoints" / FINAL).unlink()
    another = shutil.copytree(study, run.with_name("another"))
    weights = read_weights(another / "teacher" / "checkpoints" / FINAL)
    changed = {name: value * 1.01 for name, value in weights.tensors.items()}
    write_weights(another / "teacher" / "checkpoints" / FINAL, changed, weights.header)
    with pytest.raises(VsfError, match=r"split or teacher differ"):
        learn(student(epochs=2), tiny_dataset, another, run)
    with pytest.raises(VsfError, match=r"split or teacher differ"):
        learn(student(teacher=None, epochs=2), tiny_dataset, study, run)
    with pytest.raises(UsageError, match=r"distillation\.teacher = 'teacher' was not opened"):
        train(student(epochs=1), tiny_dataset, run.with_name("not-opened"))


def test_a_prolonged_lesson_equals_a_long_one_bit_for_bit(
    tiny_dataset: PatchDataset, brightfield_only: Callable[..., PatchDataset], study: Path, tmp_path: Path
) -> None:
    unlabelled = {"dataset": str(brightfield_only().path)}
    learn(student(distillation=unlabelled, epochs=3), tiny_dataset, study, tmp_path / "long")
    learn(student(distillation=unlabelled, epochs=1), tiny_dataset, study, tmp_path / "prolonged")
    torch.rand(5)
    learn(student(distillation=unlabelled, epochs=3), tiny_dataset, study, tmp_path / "prolonged")
    long, prolonged = (read_weights(tmp_path / name / "checkpoints" / FINAL).tensors for name in ("long", "prolonged"))
    assert [name for name in long if not torch.equal(long[name], prolonged[name])] == []


def test_a_teacher_that_has_seen_the_held_out_donors_is_refused(
    tiny_dataset: PatchDataset, study: Path, run: Path
) -> None:
    for split in ({"test_donors": ["donor1"]}, {"test_donors": [], "validation_donors": ["donor1"]}):
        with pytest.raises(
            UsageError, match=r"teacher was trained on donor1, which this experiment holds out.*leakage"
        ):
            learn(student(split=split), tiny_dataset, study, run)
    header = learn(
        student(split={"test_donors": ["donor1"]}, distillation={"allow_leakage": True}), tiny_dataset, study, run
    )
    # its own student would be refused as well
    assert header["donors"]["trained_on"] == ["donor1", "donor2", "donor3"]


def test_a_teacher_whose_weights_were_chosen_on_held_out_donors_is_refused(
    tiny_dataset: PatchDataset, tmp_path: Path
) -> None:
    train(student(teacher=None, split={"validation_donors": ["donor2"]}), tiny_dataset, tmp_path / "teacher")
    for split in ({"test_donors": ["donor2", "donor3"]}, {"calibration_donors": ["donor2"]}):
        with pytest.raises(UsageError, match="teacher was chosen on donor2"):
            learn(student(split=split), tiny_dataset, tmp_path, tmp_path / "run")
    # on its validation donors a student may be chosen as well
    learn(student(split={"validation_donors": ["donor2"]}), tiny_dataset, tmp_path, tmp_path / "run")


def test_a_teacher_of_other_patches_is_refused(tiny_dataset: PatchDataset, study: Path, tmp_path: Path) -> None:
    for key, value, sentence in (
        ("stains", ["ssDNA", "dsDNA"], "stains ssDNA, dsDNA"),
        ("image_size", 32, "patches of 32 px"),
        ("bit_depth", 12, "12 bits per pixel"),
    ):
        other = shutil.copytree(study, tmp_path / key)
        weights = read_weights(other / "teacher" / "checkpoints" / FINAL)
        write_weights(other / "teacher" / "checkpoints" / FINAL, weights.tensors, {**weights.header, key: value})
        with pytest.raises(UsageError, match=sentence):
            learn(student(), tiny_dataset, other, tmp_path / "run")
    with pytest.raises(UsageError, match="not a run folder"):
        open_teaching(student(teacher="nowhere"), study)
    with pytest.raises(UsageError, match="the run of this experiment itself"):
        open_teaching(student(teacher="run"), study)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"models": "separate"}, r"distillation\.lambda_quantity needs all stains"),
        ({"distillation": {"lambda_l1": 0, "lambda_quantity": 0}}, "nothing to say"),
    ],
)
def test_a_lesson_that_cannot_be_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        student(**changes)


def test_unlabelled_cells_need_a_teacher(make_experiment: Make) -> None:
    tables = {**make_experiment().tables(), "distillation": {"dataset": "cells"}}
    with pytest.raises(UsageError, match="needs a teacher"):
        parse_experiment(tables, "test")


# --------------------------------------------------------------------------------------------------------- from outside


def test_the_command_and_the_pipeline_find_the_teacher(tiny_dataset: PatchDataset, study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(study, tmp_path / "study")
    shutil.copytree(tiny_dataset.path, folder / "run" / "dataset")
    file = folder / "experiment.toml"
    write_experiment(student(epochs=1), file)
    assert json.loads(CliRunner().invoke(train_command, [str(file), "--dry-run", "--json"]).stdout)["steps"] == 2
    result = CliRunner().invoke(train_command, [str(file)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert float(last_row(folder / "run")["taught_l1"]) > 0

    def key() -> str:
        stage = next(stage for stage in Run(file).stages if stage.name == "train")
        return json.dumps(stage.key(), sort_keys=True)

    teaching = open_teaching(student(), folder)
    assert teaching is not None
    assert teaching_hashes(student(), folder) == teaching.hashes
    with pytest.raises(VsfError, match="nowhere is not a trained run"):
        teaching_hashes(student(teacher="nowhere"), folder)
    before = key()
    assert key() == before
    weights = read_weights(folder / "teacher" / "checkpoints" / FINAL)
    write_weights(folder / "teacher" / "checkpoints" / FINAL, weights.tensors, {**weights.header, "epochs": 61})
    assert key() != before
