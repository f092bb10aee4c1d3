"""What training tells on the way: ``metrics.csv``, TensorBoard scalars, and a bar with the time left."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vsframework.atomic import write_text

COLUMNS = (
    "epoch",
    "model",
    "l1",
    "l2",
    "adversarial",
    "ssim",
    "gradient",
    "quantity",
    "weak_quantity",
    "taught_l1",
    "taught_quantity",
    "unlabelled_l1",
    "unlabelled_quantity",
    "discriminator_real",
    "discriminator_virtual",
    "quantity_error",
    "learning_rate",
    "images_per_second",
)
"""Of ``metrics.csv``: one row per epoch and model; losses are means over the epoch, unweighted, empty where unused.

The model ``validation`` is all generators on the validation donors: their ``l1`` per pixel, and ``quantity_error``, the
mean absolute error per cell of the quantifier's first quantity.
"""


class Records:
    """Writes ``metrics.csv`` and TensorBoard events of a run; use it as a context manager.

    After a resume the rows and events of later epochs are dropped, so that each epoch stands there once.
    """

    def __init__(self, run: Path, start_epoch: int, *, writes: bool = True) -> None:
        self._writes = writes
        if not writes:  # another process does
            return
        from torch.utils.tensorboard import SummaryWriter

        self._path = run / "metrics.csv"
        self._truncate(start_epoch)
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=start_epoch + 1)

    def add(self, epoch: int, model: str, values: Mapping[str, float]) -> None:
        """Record the means of one epoch of one model."""
        if not self._writes:
            return
        row = {"epoch": epoch, "model": model, **{name: f"{value:.6g}" for name, value in values.items()}}
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        for name, value in values.items():
            self._board.add_scalar(f"{model}/{name}", value, epoch)

    def add_strip(self, epoch: int, strip: npt.NDArray[np.float32]) -> None:
        """Show a picture [H, W] in [0, 1] in TensorBoard."""
        self._board.add_image("brightfield, true and virtual stains", strip, epoch, dataformats="HW")

    def _truncate(self, start_epoch: int) -> None:
        kept: list[dict[str, str]] = []
        if start_epoch and self._path.exists():
            with self._path.open(encoding="utf-8", newline="") as file:
                kept = [row for row in csv.DictReader(file) if (row["epoch"] or "").isdigit()]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row for row in kept if int(row["epoch"]) <= start_epoch)
        write_text(self._path, text.getvalue())

    def __enter__(self) -> Records:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writes:
            self._board.close()


class Bar(Protocol):
    """Shows how far training is."""

    def __call__(self, images: int, status: str) -> None:
        """Count `images` more; `status` says the rest."""


@contextmanager
def training_bar(total: int, done: int, *, shown: bool = True) -> Iterator[Bar]:
    """Show a bar over `total` images with images per second and the time left; silent without a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("Training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task("training", total=total, completed=done, status="")

        def advance(images: int, status: str) -> None:
            progress.update(task, advance=images, status=status)

        yield advance
