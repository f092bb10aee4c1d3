"""The cells of a field: found, cut as in the dataset, stained one by one, measured, and judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vsframework.atomic import atomic_path
from vsframework.dataset.cells import LocatedCell, detect_cells
from vsframework.dataset.geometry import centre_and_angle
from vsframework.dataset.rows import RowSpool
from vsframework.inference.stainer import Stainer
from vsframework.inference.whole_fields import Frame
from vsframework.interfaces import Detector, ImageArray
from vsframework.plugins import registry

CELLS_AT_ONCE = 32


class CellJudge(Protocol):
    """Says which cells get a number, and between which ends it lies: :class:`vsframework.trust.Judge`."""

    def judge(self, brightfield: Any) -> Any:
        """Judge patches [N, P, H, W]."""

    def intervals(self, quantity: str, values: Any, verdicts: Any) -> tuple[Any, Any, Any]:
        """Give lower ends, upper ends and difficulties [N] of the `values` [N] of a quantity."""


def cell_rows(planes: ImageArray, stainer: Stainer, judge: CellJudge | None, cut_px: int) -> list[dict[str, Any]]:
    """Give a row per cell of the brightfield field `planes` [P, H, W], counts.

    A cell is stained by its own patch, turned and magnified as in training: its error and its interval were measured on
    that, not on the stained field. It is cut with a square of `cut_px` field pixels.

    Returns
    -------
    Rows with `x`, `y` (centre of the patch) in field pixels, `angle` in radians, a column per quantity, and `answered`
    and `reason`; with a `judge` also the ends of the intervals, ``lower_*`` and ``upper_*``. What is not answered has
    no numbers.
    """
    experiment = stainer.experiment
    detector: Detector = registry().create("detector", experiment.detector.name, experiment.detector.params)
    located = list(detect_cells(planes, detector, cut_px, experiment.patches.size))
    rows: list[dict[str, Any]] = []
    for start in range(0, len(located), CELLS_AT_ONCE):
        rows += _measured(located[start : start + CELLS_AT_ONCE], stainer, judge)
    return rows


def cut_of(stainer: Stainer, scale: float | None) -> int:
    """Give the side of the square, in field pixels, that becomes a patch; `scale` is None where it is the usual one."""
    patches = stainer.experiment.patches
    return patches.field_px if scale is None else max(1, round(patches.size / scale))


def cells_of_block(
    frame: Frame, rows: tuple[int, int], columns: tuple[int, int], stainer: Stainer, judge: CellJudge | None
) -> list[dict[str, Any]]:
    """Give the cells of `frame` whose centre lies in `rows` and `columns` (first, and last without).

    The detector sees the block and two cut squares more on every side, not the whole field.
    """
    cut_px = cut_of(stainer, frame.scale)
    around = 2 * cut_px
    (top, bottom), (left, right) = (
        (max(0, first - around), min(last + around, length))
        for (first, last), length in zip((rows, columns), frame.shape, strict=True)
    )
    planes = frame.field.read(top, bottom, left, right)[list(frame.planes)]
    found = [{**row, "x": row["x"] + left, "y": row["y"] + top} for row in cell_rows(planes, stainer, judge, cut_px)]
    return [row for row in found if rows[0] <= row["y"] < rows[1] and columns[0] <= row["x"] < columns[1]]


def once(cells: Iterable[dict[str, Any]], apart: float) -> Iterator[dict[str, Any]]:
    """Leave out a cell within `apart` pixels of an earlier one: two blocks saw it, on either side of their border."""
    seen: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for cell in cells:
        x, y = cell["x"], cell["y"]
        column, row = int(x // apart), int(y // apart)
        near = (place for i in (-1, 0, 1) for j in (-1, 0, 1) for place in seen.get((column + i, row + j), ()))
        if all(math.hypot(x - other_x, y - other_y) >= apart for other_x, other_y in near):
            seen.setdefault((column, row), []).append((x, y))
            yield cell


def write_cells(path: Path, cells: Iterable[dict[str, Any]], stainer: Stainer, *, judged: bool) -> None:
    """Write the table of a field, whole or not at all; a field without cells has a table without rows."""
    with atomic_path(path) as temporary:
        rows = RowSpool(temporary.with_suffix(".rows"), ("cell", *_columns(stainer, judged)))
        try:
            for number, cell in enumerate(cells):
                rows.add({"cell": f"cell{number:04d}", **cell})
            rows.write_csv(temporary)
        finally:
            rows.close()


def _columns(stainer: Stainer, judged: bool) -> list[str]:
    """Name the columns of the table."""
    names = [quantity.name for quantity in stainer.quantifier.quantities]
    ends = [f"{end}_{name}" for name in names for end in ("lower", "upper")] if judged else []
    return ["x", "y", "angle", *names, *ends, "answered", "reason"]


def _measured(cells: Sequence[LocatedCell], stainer: Stainer, judge: CellJudge | None) -> list[dict[str, Any]]:
    brightfield = np.stack([cell.brightfield for cell in cells if cell.brightfield is not None])
    measured = stainer.quantifier.measure(stainer.stain(brightfield), stainer.stains)
    verdicts = None if judge is None else judge.judge(brightfield)
    values = {name: np.asarray(found, dtype=np.float64) for name, found in measured.items()}
    numbers: dict[str, Any] = dict(values)
    if judge is not None:
        for name, value in values.items():
            numbers[f"lower_{name}"], numbers[f"upper_{name}"], _ = judge.intervals(name, value, verdicts)
    rows = []
    for index, cell in enumerate(cells):
        assert cell.matrix is not None  # a detected cell has a place
        x, y, angle = centre_and_angle(cell.matrix, cell.crop)
        reason = cell.reason or ("" if verdicts is None else verdicts.reasons[index])
        row = {"x": x, "y": y, "angle": angle, "answered": not reason, "reason": reason}
        rows.append(row if reason else {**row, **{name: float(value[index]) for name, value in numbers.items()}})
    return rows
