"""The stages of an experiment in order, each skipped while its inputs and configuration are the same."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vsframework
from vsframework.atomic import FULL, full_disk, write_text
from vsframework.config import Experiment, Selection, SplitSection, load_experiment, write_experiment
from vsframework.errors import UsageError, VsfError
from vsframework.fanout import HERE, Workers
from vsframework.plugins import registry

if TYPE_CHECKING:
    from vsframework.dataset import PatchDataset
    from vsframework.training.distillation import Teaching

DATASET_SECTIONS = ("data", "patches", "registrar", "alignment", "detector", "denoiser", "quantifier")
EVALUATION_SECTIONS = ("quantifier", "regressor", "baseline")
TRAINING_SECTIONS = (
    "split",
    "generator",
    "training",
    "augmentation",
    "validation",
    "objective",
    "weak",
    "distillation",
)


@dataclass(frozen=True)
class Stage:
    """One step of an experiment.

    Attributes
    ----------
    name
        As a person would say it.
    output
        What it leaves in the run folder; without it the stage runs again.
    key
        Everything the stage depends on, as JSON values; the stage runs again when this changes.
    act
        Does the work.
    """

    name: str
    output: str
    key: Callable[[], Mapping[str, Any]]
    act: Callable[[], object]


class Run:
    """An experiment and the folder it runs in.

    Parameters
    ----------
    file
        The experiment file; the folder ``output`` lies beside it.
    overrides
        ``section.key=value``, as on the command line.
    workers
        Who builds the dataset.
    """

    def __init__(self, file: Path, overrides: tuple[str, ...] = (), workers: Workers = HERE) -> None:
        self.file = file
        self.workers = workers
        self.experiment: Experiment = load_experiment(file, overrides)
        check_components(self.experiment)
        self.folder = file.parent
        self.path = self.folder / self.experiment.output
        self.dataset_path = self.path / "dataset"
        self.builds_dataset = True
        self.device = "cpu"

    def holding_out(self, split: SplitSection, inside: Path, device: str = "cpu") -> Run:
        """Give this experiment with another `split`, in the folder `inside`, on the dataset of this one.

        `device` (of torch) is where it is evaluated.
        """
        other = copy.copy(self)
        other.experiment = self.experiment.model_copy(
            update={"split": split, "output": os.path.relpath(inside, self.folder)}
        )
        other.path = inside
        other.builds_dataset = False
        other.device = device
        return other

    # ------------------------------------------------------------------------------------------------ stages

    @property
    def stages(self) -> Iterator[Stage]:
        """Every stage, in order; what a stage needs is imported when its turn comes (no torch to build a dataset)."""
        from vsframework import dataset
        from vsframework.dataset import PatchDataset

        if self.builds_dataset:
            yield Stage(
                "dataset",
                "dataset/dataset.json",
                self._dataset_key,
                lambda: dataset.build(self.experiment, self.folder, self.dataset_path, self.workers),
            )
        from vsframework import evaluation, training, trust
        from vsframework.evaluation.leaks import refuse_leaks
        from vsframework.evaluation.report import write_report
        from vsframework.inference import Stainer
        from vsframework.training.checkpoints import FINAL

        def open_dataset() -> PatchDataset:
            return PatchDataset.open(self.dataset_path)

        def evaluate() -> None:
            evaluation.evaluate(open_dataset(), self.path, Stainer.load(self.path, device=self.device))

        def train() -> None:
            patches, weak = open_dataset(), self.weak_dataset()
            refuse_leaks(self.experiment.split.test_donors, [*patches.donors, *(weak.donors if weak else [])])
            training.train(self.experiment, patches, self.path, weak, self._teaching())

        yield Stage("train", f"checkpoints/{FINAL}", self._training_key, train)
        yield Stage(
            "calibrate",
            trust.NAME,
            self._calibration_key,
            lambda: trust.calibrate(open_dataset(), self.path, Stainer.load(self.path, device=self.device)),
        )
        yield Stage("evaluate", "evaluation/summary.json", self._evaluation_key, evaluate)
        yield Stage("report", "report.html", self._evaluation_key, lambda: write_report(self.path))

    def _dataset_key(self) -> dict[str, Any]:
        from vsframework.dataset import input_files

        root = self.folder / self.experiment.data.root
        inputs = [
            # and whether it may be read: rights that are given later change neither size nor time
            (path.relative_to(root).as_posix(), path.stat().st_size, path.stat().st_mtime_ns, os.access(path, os.R_OK))
            for path in input_files(self.experiment, self.folder)
        ]
        return {"sections": self._sections(DATASET_SECTIONS), "inputs": inputs, "software": self._software("denoiser")}

    def _training_key(self) -> dict[str, Any]:
        from vsframework.training.distillation import teaching_hashes

        info = json.loads((self.dataset_path / "dataset.json").read_text(encoding="utf-8"))
        weak = self.weak_dataset()
        measured_by = ("quantifier",) if self.experiment.measures_in_training else ()
        return {
            "sections": self._sections((*TRAINING_SECTIONS, *measured_by)),
            "dataset": info["hash"],
            "weak": weak.info["hash"] if weak else None,
            "teaching": teaching_hashes(self.experiment, self.folder),
            "software": self._software("generator"),
        }

    def weak_dataset(self) -> PatchDataset | None:
        """Open the dataset of measured values that is trained on too; None where the experiment names none."""
        from vsframework.training.data import open_weak_dataset

        return open_weak_dataset(self.experiment, self.folder)

    def _teaching(self) -> Teaching | None:
        from vsframework.training.distillation import open_teaching

        return open_teaching(self.experiment, self.folder)

    def _calibration_key(self) -> dict[str, Any]:
        from vsframework.training.checkpoints import FINAL

        weights = hashlib.sha256((self.path / "checkpoints" / FINAL).read_bytes()).hexdigest()
        plugins = [registry().find("gate", gate.name).plugin for gate in self.experiment.trust.gates]
        return {
            **self._training_key(),
            "weights": weights,
            "measured": self._sections(("quantifier", "trust")),
            "gates": {plugin.distribution: plugin.version for plugin in plugins},
        }

    def _evaluation_key(self) -> dict[str, Any]:
        table = hashlib.sha256((self.path / "trust.json").read_bytes()).hexdigest()
        return {**self._calibration_key(), "trust": table, "judged by": self._sections(EVALUATION_SECTIONS)}

    def _sections(self, names: tuple[str, ...]) -> dict[str, Any]:
        tables = self.experiment.tables()
        return {name: tables.get(name) for name in names}

    def _software(self, kind: str) -> dict[str, str]:
        plugin = registry().find(kind, getattr(self.experiment, kind).name).plugin
        return {"vsframework": vsframework.__version__, plugin.distribution: plugin.version}

    # ----------------------------------------------------------------------------------------------- running

    def go(self, until: str = "report", force: bool = False, tell: Callable[[str], object] = print) -> None:
        """Run the stages up to `until`, skipping those that are up to date (unless `force`).

        Parameters
        ----------
        tell
            Called with one line per stage.
        """
        from vsframework import dataset

        self._prepare()
        for stage in self.stages:
            done = self._state().get("stages", {}).get(stage.name, {})
            key = _digest(stage.key())
            if not force and done.get("key") == key and (self.path / stage.output).exists():
                tell(f"{stage.name}: up to date")
            else:
                start = time.monotonic()
                self._forget(stage.name)
                if force and stage.name == "dataset":
                    dataset.forget_parts(self.dataset_path)
                if force and stage.name == "train":
                    shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
                stage.act()
                seconds = time.monotonic() - start
                self._record(
                    stage.name, {"key": _digest(stage.key()), "seconds": round(seconds, 2), "finished": _now()}
                )
                tell(f"{stage.name}: done in {seconds:.0f} s")
            if stage.name == until:
                return

    def _prepare(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_experiment(self.experiment, self.path / "config.toml")
        except OSError as error:
            if error.errno in FULL:
                raise full_disk(self.path) from error
            raise VsfError(f"the run folder {self.path} cannot be written: {error.strerror or error}") from error
        state = self._state()
        state |= {"name": self.experiment.name, "seed": self.experiment.training.seed, "machine": machine()}
        self._write(state)

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.path / "provenance.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return state

    def _forget(self, stage: str) -> None:
        state = self._state()
        state.setdefault("stages", {}).pop(stage, None)
        self._write(state)

    def _record(self, stage: str, entry: Mapping[str, Any]) -> None:
        state = self._state()
        state.setdefault("stages", {})[stage] = dict(entry)
        self._write(state)

    def _write(self, state: Mapping[str, Any]) -> None:
        write_text(self.path / "provenance.json", json.dumps(state, indent=2))


def check_components(experiment: Experiment) -> None:
    """Look up every component that `experiment` names and check its parameters, before any work is done.

    Raises
    ------
    UsageError
        For the first name that no plugin offers, or parameter that does not exist or is out of its bounds.
    """
    for section, selection in experiment:
        if isinstance(selection, Selection):
            kind = "registrar" if section == "alignment" else section
            try:
                registry().find(kind, selection.name).component.parse(selection.params)
            except UsageError as error:
                raise UsageError(f"[{section}] {error}") from error
    for gate in experiment.trust.gates:
        try:
            registry().find("gate", gate.name).component.parse(gate.params)
        except UsageError as error:
            raise UsageError(f"[trust] {error}") from error


def machine() -> dict[str, Any]:
    """Describe this machine and the versions that shape a result."""
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("vsframework", "torch", "numpy", "opencv-python-headless")},
    }


def remove_run(path: Path) -> None:
    """Delete a run folder, and only a run folder."""
    if path.exists() and not (path / "provenance.json").exists():
        raise VsfError(f"{path} is not a run folder; it is left as it is")
    shutil.rmtree(path, ignore_errors=True)


def _digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
