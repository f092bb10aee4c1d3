"""Folds in processes of their own: one process per fold, so that one that dies takes no other with it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from vsframework.cross_validation.folds import Fold, run_fold
from vsframework.errors import VsfError
from vsframework.pipeline import Run

LOG = "fold.log"
"""What a fold's process prints goes here, inside its folder."""


def run_folds(
    file: Path, overrides: tuple[str, ...], folds: Sequence[Fold], workers: int, tell: Callable[[str], object]
) -> None:
    """Run `folds`, `workers` at a time; a single worker is this process.

    Raises
    ------
    VsfError
        For the first fold that fails, when those that run beside it have ended; no further one is started.
    """
    if workers == 1:
        run = Run(file, overrides)
        for fold in folds:
            run_fold(run, fold, lambda line, donor=fold.donor: tell(f"{donor}: {line}"))  # type: ignore[misc]
        return
    waiting, running = list(folds), list[_Running]()
    failure: VsfError | None = None
    try:
        while running or (waiting and failure is None):
            while waiting and failure is None and len(running) < workers:
                slot = min(set(range(workers)) - {one.slot for one in running})
                running.append(_start(file, overrides, waiting.pop(0), slot, workers))
            ended = wait([one.process.sentinel for one in running])
            for one in [one for one in running if one.process.sentinel in ended]:
                running.remove(one)
                problem = one.problem()
                tell(f"{one.fold.donor}: {'failed' if problem else 'done'}")
                if problem and failure is None:
                    failure = VsfError(
                        f"the fold of donor {one.fold.donor} failed: {problem} (see {one.fold.folder / LOG}); finished "
                        "folds are kept, run the same command again to go on"
                    )
    finally:
        for one in running:
            one.process.terminate()
            one.process.join()
    if failure is not None:
        raise failure


@dataclass(frozen=True, kw_only=True)
class _Running:
    fold: Fold
    slot: int
    process: SpawnProcess
    answer: Connection

    def problem(self) -> str:
        """Wait for the end, and give what went wrong; empty if nothing did."""
        try:
            said = str(self.answer.recv())
        except EOFError:  # it ended without a word
            said = ""
        self.process.join()
        if said or self.process.exitcode == 0:
            return said
        return f"its process ended with code {self.process.exitcode}"


def _start(file: Path, overrides: tuple[str, ...], fold: Fold, slot: int, workers: int) -> _Running:
    context = multiprocessing.get_context("spawn")  # torch and its threads do not survive a fork
    receives, sends = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(file, overrides, fold, slot, workers, sends))
    process.start()
    sends.close()
    return _Running(fold=fold, slot=slot, process=process, answer=receives)


def _work(file: Path, overrides: tuple[str, ...], fold: Fold, slot: int, workers: int, answer: Connection) -> None:
    """The process of a fold: its share of cores and its GPU, its output in a file, its problem as an answer."""
    parent = multiprocessing.parent_process()
    if parent is not None:  # an orphan would train on beside the process that takes its place
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    _take_a_gpu(slot)
    fold.folder.mkdir(parents=True, exist_ok=True)
    with (fold.folder / LOG).open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    try:
        import torch

        torch.set_num_threads(max(1, min(torch.get_num_threads(), _cores() // workers)))
        run_fold(Run(file, overrides), fold, lambda line: print(line, flush=True))  # noqa: T201 - into the log
    except Exception as error:
        answer.send(str(error) if isinstance(error, VsfError) else f"unexpected {type(error).__name__}: {error}")
        raise


def _take_a_gpu(slot: int) -> None:
    """Show this process one of the GPUs; torch must not have been used before."""
    import torch

    count = torch.cuda.device_count()
    if count > 1:
        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        names = visible or [str(index) for index in range(count)]
        os.environ["CUDA_VISIBLE_DEVICES"] = names[slot % len(names)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
