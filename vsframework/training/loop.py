"""The training loop: epochs over the patches, checkpoints on the way, the trained generators at the end."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import torch

from vsframework.atomic import atomic_path
from vsframework.config import Experiment, write_experiment
from vsframework.dataset.store import PatchDataset
from vsframework.errors import VsfError
from vsframework.interfaces import Generator
from vsframework.plugins import registry
from vsframework.training.augmentation import Augmentation
from vsframework.training.checkpoints import Checkpoints, DamagedWeightsError, training_identity
from vsframework.training.data import Lesson, epoch_batches, load_weak_targets, weak_batches
from vsframework.training.devices import launch, own_part, scaler_of
from vsframework.training.distillation import Teaching, load_unlabelled, unlabelled_batches
from vsframework.training.finishing import (
    brightfield_of,
    describe_generator,
    describe_training,
    generator_weights,
    write_generators,
)
from vsframework.training.fixed_statistics import first_held_epoch
from vsframework.training.models import Model, plan_models
from vsframework.training.modes import Watch
from vsframework.training.objective import plan_objective
from vsframework.training.position import Means
from vsframework.training.randomness import seed_training
from vsframework.training.records import Bar, Records, training_bar
from vsframework.training.schedule import learning_rate_factor
from vsframework.training.state import TrainingState, below
from vsframework.training.streaming import open_patches
from vsframework.training.sums import EpochSums

CHECKED_EVERY = 50
"""Steps between looks at the loss inside an epoch; each look makes a GPU wait."""

log = logging.getLogger(__name__)


def train(
    experiment: Experiment,
    dataset: PatchDataset,
    run: Path,
    weak: PatchDataset | None = None,
    teaching: Teaching | None = None,
) -> None:
    """Train the generators of `experiment` on `dataset` into the folder `run`; goes on where an earlier call stopped.

    Writes ``checkpoints/`` (the newest two states, and ``final/generators.safetensors``), ``config.toml``,
    ``metrics.csv`` and ``tensorboard/``. Returns at once when the run is trained already. On a CPU, an interrupted and
    resumed training gives the same weights, bit for bit, as an uninterrupted one. `weak` is the dataset that
    ``weak.dataset`` names (`vsframework.training.data.open_weak_dataset`), `teaching` what ``[distillation]`` does
    (`vsframework.training.distillation.open_teaching`).

    Raises
    ------
    UsageError
        When the generator, a parameter or a held-out donor does not exist, or the patches do not fit the generator.
    VsfError
        When the checkpoints in `run` belong to another experiment, dataset or plugin version, when there is nothing to
        train on, or when the loss stops being a number or explodes.
    """
    hashes = [data.info["hash"] for data in (dataset, weak) if data is not None]
    hashes += teaching.hashes if teaching else []
    checkpoints = Checkpoints(
        run / "checkpoints", training_identity(experiment, *hashes), describe_generator(experiment)
    )
    if not checkpoints.is_finished(experiment.training.epochs):
        training = Training(experiment, dataset, run, checkpoints, weak, teaching)
        training.resume()
        training.go_on()
        training.finish()


class Training:
    """One training in this process: its models, its data, and how far it is.

    Raises what :func:`train` does.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: PatchDataset,
        run: Path,
        checkpoints: Checkpoints,
        weak: PatchDataset | None,
        teaching: Teaching | None,
    ) -> None:
        self._experiment = experiment
        self._section = experiment.training
        self._dataset = dataset
        self._run = run
        self._checkpoints = checkpoints
        self._architecture: Generator = registry().create(
            "generator", experiment.generator.name, experiment.generator.params
        )
        self._patches = open_patches(experiment, dataset)
        objective = plan_objective(experiment, dataset, self._patches.normalisation)
        normalisation = self._patches.normalisation
        self._weak_dataset = weak
        self._weak = load_weak_targets(experiment, weak, dataset, normalisation, objective.quantities)
        self._unlabelled = load_unlabelled(experiment, teaching, dataset, normalisation)
        self._teacher = teaching.teacher if teaching else None
        self._watch = Watch(experiment, dataset, self._patches, self._architecture)
        seed_training(self._section.seed)
        self._models = [
            Model(plan, self._architecture, experiment, objective, dataset.size, len(dataset.planes))
            for plan in plan_models(self._section, dataset.stains)
        ]
        self._fabric = launch(self._section)
        for model in self._models:
            model.set_up(self._fabric)
        if self._teacher is not None:
            self._teacher.set_up(experiment, dataset, normalisation, self._fabric.device)
        if self._fabric.global_rank:
            seed_training(self._section.seed, self._fabric.global_rank)
        self._augment = Augmentation(
            experiment.augmentation, self._section.seed, dataset.size, self._fabric.global_rank
        )
        self._state = TrainingState(
            models=self._models, fabric=self._fabric, seed=self._section.seed, scaler=scaler_of(self._fabric)
        )

    def resume(self) -> None:
        """Go back to the newest good checkpoint, if there is one."""
        self._checkpoints.restore(self._state)
        self._position = self._state.position
        done, epochs = self._position.epoch, self._section.epochs
        if done > epochs or (done == epochs and self._position.batch):
            raise VsfError(
                f"{self._checkpoints.folder} is already at epoch {done}, more than training.epochs = {epochs}; raise "
                f"it to at least {done}, or delete the folder to train anew"
            )
        if done >= self._first_held or (done == self._first_held - 1 and self._position.batch):
            for model in self._models:
                model.hold_statistics()
        if self._fabric.is_global_zero:
            with atomic_path(self._run / "config.toml") as temporary:
                write_experiment(self._experiment, temporary)

    @property
    def _first_held(self) -> float:
        """The epoch at whose start deploy mode measures the statistics that it holds from there on."""
        section = self._section
        return first_held_epoch(section.epochs, section.held_share) if section.mode == "deploy" else math.inf

    @property
    def _stopped_early(self) -> bool:
        patience = self._experiment.validation.patience
        return bool(patience) and self._position.stale >= patience

    def go_on(self) -> None:
        """Train until the last epoch, or until validation has not become better for too long."""
        position, section = self._position, self._section
        count = len(self._patches)
        done = position.epoch * count + position.batch * section.batch_size * section.accumulate
        records = Records(self._run, position.epoch, writes=self._fabric.is_global_zero)
        with records, training_bar(section.epochs * count, done, shown=self._fabric.is_global_zero) as bar:
            while position.epoch < section.epochs and not self._stopped_early:
                self._train_epoch(records, bar)
                if self._watch.is_due(position.epoch):
                    self._validate(records)
                if position.epoch % section.checkpoint_every == 0 or position.epoch == section.epochs:
                    self._save()
                    self._watch.show(records, position.epoch, self._models, self._fabric)
            if self._stopped_early:
                self._save()

    def _train_epoch(self, records: Records, bar: Bar) -> None:
        """Train every model on what is left of an epoch, and record the means."""
        position, section, epoch = self._position, self._section, self._position.epoch + 1
        factor = learning_rate_factor(section.schedule, epoch, section.epochs)
        for model in self._models:
            model.set_learning_rate(factor)
            if epoch == self._first_held and not position.batch:
                model.hold_statistics(brightfield_of(self._patches))
        order = epoch_batches(len(self._patches), section.batch_size * section.accumulate, section.seed, epoch)
        own = [own_part(batch, self._fabric) for batch in order]
        weak_order = islice(weak_batches(self._weak, len(order), self._experiment, epoch), position.batch, None)
        unlabelled_order = unlabelled_batches(self._unlabelled, len(order), self._experiment, epoch)
        unlabelled_order = islice(unlabelled_order, position.batch, None)
        sums = EpochSums(self._fabric, [model.plan.name for model in self._models], position.sums)
        first, seen, began = position.batch, 0, time.perf_counter()
        loaded = self._patches.batches([indices for indices, _ in own[first:]])
        joining = zip(weak_order, unlabelled_order, strict=True)
        for number, patches, (weak, unlabelled) in zip(range(first, len(order)), loaded, joining, strict=True):
            brightfield, stains = (self._fabric.to_device(images) for images in patches)
            brightfield, stains = self._augment(brightfield, stains, epoch, number)
            lesson = self._teach(brightfield, unlabelled)
            _, share = own[number]
            for model in self._models:
                on_device = weak and weak.to(self._fabric.device)
                found = model.step(brightfield, stains, on_device, share, lesson)
                sums.add(model.plan.name, found, len(order[number]) * share)
            seen += len(order[number])
            rate = seen / (time.perf_counter() - began)
            bar(len(order[number]), f"images, epoch {epoch} of {section.epochs}, {rate:.3g} images/s")
            position.batch = number + 1
            inside = position.batch < len(order)
            steps = (epoch - 1) * len(order) + position.batch
            if inside and steps % section.checkpoint_steps == 0:
                position.sums = sums.total()
                self._check(position.sums, sum(map(len, order[: position.batch])))
                self._save()
            elif inside and steps % CHECKED_EVERY == 0:
                self._check(sums.total(), sum(map(len, order[: position.batch])))
        rate = seen / (time.perf_counter() - began)
        means = self._check(sums.total(), len(self._patches))
        for name, terms in means.items():
            values = {**terms, "learning_rate": section.learning_rate * factor, "images_per_second": rate}
            records.add(epoch, name, values)
        position.end_epoch(means)

    def _teach(self, brightfield: torch.Tensor, unlabelled: torch.Tensor | None) -> Lesson | None:
        """Ask the teacher about a batch, as it was augmented, and about brightfield that has no other stains."""
        if self._teacher is None:
            return None
        images = None if unlabelled is None else unlabelled.to(brightfield.device)
        return Lesson(
            stains=self._teacher(brightfield), unlabelled=None if images is None else (images, self._teacher(images))
        )

    def _check(self, sums: Mapping[str, Means], count: int) -> dict[str, Means]:
        """Give the means over `count` patches; raises where a loss is no number, or exploded."""
        means = {model: {name: value / count for name, value in terms.items()} for model, terms in sums.items()}
        for model, terms in means.items():
            self._position.check(model, terms)
        return means

    def _validate(self, records: Records) -> bool:
        """Judge the weights of now on the validation donors, and keep them if they are the best.

        In deploy mode those of before statistics were held are told and do not count: they cannot stain in the end.
        """
        position = self._position
        score = self._watch.validate(self._models, self._fabric)
        records.add(position.epoch, "validation", {"l1": score.l1, "quantity_error": score.quantity_error})
        if self._section.mode == "deploy" and position.epoch < self._first_held:
            return False
        best = position.judge(self._watch.rank(score, position.epoch), position.epoch)
        if best and self._watch.keeps_best and self._fabric.is_global_zero:
            self._checkpoints.save_best(position.epoch, generator_weights(self._models))
        return best

    def _save(self) -> None:
        """Write a checkpoint, but never of weights that are not numbers."""
        for model in self._models:
            if not model.is_finite():
                raise VsfError(
                    f"weights of {model.plan.name} stopped being numbers in epoch {self._position.epoch + 1}; the last "
                    "good checkpoint is kept, so lower training.learning_rate or change training.precision"
                )
        self._checkpoints.save(self._state)

    def finish(self) -> None:
        """Write the generators that stain: those that validated best, or the last."""
        position = self._position
        if not self._fabric.is_global_zero:
            raise SystemExit(0)  # the other processes have nothing left to do
        used = position.epoch
        if self._watch.keeps_best and self._best_is_better():
            used = position.best_epoch
            try:
                best = self._checkpoints.read_best(used)
                for model in self._models:
                    model.trained_generator.load_state_dict(below(best, f"{model.plan.name}/"))
            except (DamagedWeightsError, RuntimeError) as error:
                log.warning("%s; the weights of the last epoch are used", error)
                used = position.epoch
        header = {
            "identity": self._checkpoints.identity,
            "epochs": self._section.epochs,
            "trained_epochs": position.epoch,
            "stopped_early": self._stopped_early,
            "weights_of_epoch": used,
            "modes": self._watch.compare_modes(self._models, self._fabric),
            **describe_training(
                self._experiment, self._dataset, self._patches, self._models, self._weak_dataset, self._teacher
            ),
        }
        generators = {model.plan.name: model.trained_generator for model in self._models}
        write_generators(self._checkpoints.final, header, generators, self._patches, self._fabric.device)

    def _best_is_better(self) -> bool:
        """Whether the best weights so far are better than the last, which need not have been validated."""
        position = self._position
        if not position.best_epoch or self._watch.is_due(position.epoch):
            return bool(position.best_epoch)
        last = self._watch.rank(self._watch.score(self._models, self._fabric), position.epoch)
        return position.best_score <= last
