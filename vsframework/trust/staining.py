"""What one worker does of ``vsf stain``: an image with its answer and its cells, or a row of blocks of a large one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from vsframework.dataset.parts import file_state
from vsframework.errors import VsfError
from vsframework.images import open_field
from vsframework.inference.cell_table import cell_rows, cells_of_block, cut_of, once, write_cells
from vsframework.inference.files import (
    brightfield_channels,
    check_depth,
    read_brightfield,
    selection,
    stain_file,
)
from vsframework.inference.magnification import Magnification, OtherPixelSize, magnification
from vsframework.inference.stacks import Source
from vsframework.inference.stainer import Stainer
from vsframework.inference.whole_fields import Frame, StainedField
from vsframework.training.trained import Mode
from vsframework.trust.answers import answer_image, write_answer
from vsframework.trust.judging import Judge

LARGE = 2**26
"""Pixels of a field, magnified as the patches were, beyond which it is stained block by block into an OME-Zarr."""


@dataclass(frozen=True, kw_only=True)
class StainRequest:
    """What all images of one ``vsf stain`` share.

    Attributes
    ----------
    run
        Folder of the trained run.
    mode, device
        As for :meth:`Stainer.load`.
    scale
        Pixels of a training patch per pixel of the image; None for the usual one.
    cells
        Whether to write a table of the cells beside each field.
    other_pixel_size
        What to do with an image of another pixel size than the run was trained on.
    """

    run: Path
    mode: Mode = "deploy"
    device: str = "cpu"
    scale: float | None = None
    cells: bool = False
    other_pixel_size: OtherPixelSize = "refuse"

    def tools(self) -> tuple[Stainer, Judge | None]:
        """Load the run, once per process and state of its files."""
        state = [file_state(self.run / name) for name in ("config.toml", "checkpoints", "trust.json")]
        return _tools(self.run, self.mode, self.device, str(state))


class Target(NamedTuple):
    """One image, and where its stains go; a large one has a row of blocks as well."""

    source: Source
    path: Path
    row: int = 0


def large_frame(request: StainRequest, source: Source) -> Frame | None:
    """Open `source` if it is to be stained block by block: an OME-Zarr, or too large to be stained at once.

    Raises
    ------
    VsfError
        When it cannot be read, or is no brightfield as the run was trained on it.
    """
    if not isinstance(source, Path):
        return None
    stainer, _ = request.tools()
    field = open_field(source, selection(stainer))
    height, width = field.shape[1:]
    chosen = _magnification(request, stainer, (height, width), field.pixel_size_um, source)
    scale = chosen.scale
    if not source.is_dir() and height * width * scale**2 <= LARGE:
        return None
    check_depth(stainer, field.bit_depth, source)
    channels = brightfield_channels(stainer, field.channels, source)
    return Frame(field=field, planes=channels, scale=scale, note=chosen.note)


def _magnification(
    request: StainRequest, stainer: Stainer, shape: tuple[int, int], pixel_size_um: float | None, path: Path | None
) -> Magnification:
    chosen = magnification(stainer, shape, pixel_size_um, path, request.scale, request.other_pixel_size)
    if chosen.resampled and request.cells:
        raise VsfError(
            f"{path} has another pixel size than this run was trained on, and its cells would be cut at the wrong "
            "size: resample it first, or leave --cells out"
        )
    return chosen


def stain_image(request: StainRequest, target: Target) -> str:
    """Stain one image at once, answer it where it is one cell, and list its cells; gives why it is abstained, if so."""
    stainer, judge = request.tools()
    stained = stain_file(stainer, target.source, target.path, request.scale, request.other_pixel_size)
    if request.cells:
        _magnification(request, stainer, stained.pixels.shape[1:], stained.pixel_size_um, stained.path)
    answer = None
    if judge:
        answer = answer_image(judge, stainer, target.source, request.scale, request.other_pixel_size)
    write_answer(target.path, answer)
    table = cells_path(target.path)
    if request.cells:
        planes, _ = read_brightfield(stainer, target.source)
        cells = cell_rows(planes, stainer, judge, cut_of(stainer, request.scale))
        write_cells(table, cells, stainer, judged=judge is not None)
    else:
        table.unlink(missing_ok=True)  # one of an older staining
    return "" if answer is None or answer.answered else answer.reason


def begin_field(request: StainRequest, frame: Frame, target: Path) -> list[int]:
    """Prepare a field that is stained block by block, and list the rows of blocks that are still to be done."""
    stainer, judge = request.tools()
    source = frame.field.path
    depends_on = {
        "source": [source.absolute(), file_state(source)],
        "weights": file_state(request.run / "checkpoints"),
        "trust": judge.trust.model_dump(mode="json") if judge and request.cells else None,
        "mode": request.mode,
        "other_pixel_size": request.other_pixel_size,
        "cells": request.cells,
    }
    stained = StainedField(target)
    stained.begin(frame, stainer, depends_on)
    return stained.missing(frame.blocks[0])


def stain_row(request: StainRequest, target: Target) -> None:
    """Do one row of blocks of a large field."""
    stainer, judge = request.tools()
    frame = large_frame(request, target.source)
    if frame is None:
        raise VsfError(f"{target.source} has changed since it was begun: run the same command again")
    stained = StainedField(target.path)
    found: list[dict[str, Any]] = []
    for rows, places in stained.stain_row(stainer, frame, target.row):
        if request.cells:
            found += cells_of_block(frame, rows, places, stainer, judge)
    stained.finish_row(target.row, found)


def finish_field(request: StainRequest, frame: Frame, target: Path) -> None:
    """Put a field whose rows are all done in its place, and its cells beside it."""
    stainer, judge = request.tools()
    stained = StainedField(target)
    table = cells_path(target)
    if request.cells:
        cells = once(stained.cells(frame.blocks[0]), apart=cut_of(stainer, frame.scale) / 4)
        write_cells(table, cells, stainer, judged=judge is not None)
    else:
        table.unlink(missing_ok=True)  # one of an older staining
    stained.finish()


def cells_path(stained: Path) -> Path:
    """Give the table of the cells beside a stained image: ``field.stained.ome.tif`` has ``field.cells.csv``."""
    return stained.with_name(f"{stained.name.partition('.stained.')[0]}.cells.csv")


@lru_cache(maxsize=1)
def _tools(run: Path, mode: Mode, device: str, state: str) -> tuple[Stainer, Judge | None]:
    return Stainer.load(run, mode=mode, device=device), Judge.load(run)
