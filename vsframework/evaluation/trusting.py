"""How far the gates and intervals of a run keep their word on donors that it has not seen.

Numbers of a cell that is not answered stay in ``cells.csv`` (``virtual_*``), because only they show what abstaining
is worth; nobody else is given them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from vsframework.evaluation.metrics import Value
from vsframework.interfaces import FloatArray
from vsframework.progress import track

if TYPE_CHECKING:
    from vsframework.dataset.store import PatchDataset
    from vsframework.trust import Judge

BATCH_SIZE = 16
"""Patches looked at at a time."""

CURVE_POINTS = 101
"""Points of a risk-coverage curve."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RiskCoverage(_Result):
    """Mean absolute error of the cells answered, against their share of all cells of held-out donors.

    `share` rises to 1. `error` answers the cells in the order of the run: first those inside the gates, the smallest
    expected error first. `best` is the order that knows the errors, which nobody has; `overall` is what answering at
    random gives at every share. `skill` is how far the run's order comes from random to best (1 is best, 0 no better
    than random, negative worse), by the mean over the shares.
    """

    share: tuple[float, ...]
    error: tuple[Value, ...]
    best: tuple[Value, ...]
    overall: Value
    skill: Value


class DonorTrust(_Result):
    """Cells of one held-out donor: how many there are and were answered, and what its intervals hold.

    `covered` is the share of answered cells whose interval holds the true value, `width` the median width.
    """

    donor: str
    cells: int
    answered: int
    covered: Value
    width: Value


class QuantityTrustResult(_Result):
    """One quantity on held-out donors, every cell counting the same.

    `mae_answered` and `mae_abstained` split the mean absolute error `mae` of all cells. `covered` and `width` are of
    all held-out donors together; NaN without intervals.
    """

    name: str
    unit: str
    donors: tuple[DonorTrust, ...]
    covered: Value
    width: Value
    mae: Value
    mae_answered: Value
    mae_abstained: Value
    risk_coverage: RiskCoverage | None


class TrustResult(_Result):
    """What gates and intervals did on held-out donors.

    `abstained_by` counts the cells that each gate turned away (a cell may be counted by several). `missing` says why
    there are no intervals; `exchangeable` and `calibrated_on` say what the nominal coverage `level` is promised for.
    """

    level: float
    exchangeable: str
    calibrated_on: tuple[str, ...]
    missing: str
    cells: int
    answered: int
    abstained_by: dict[str, int]
    quantities: tuple[QuantityTrustResult, ...]


def judge_cells(
    judge: Judge | None, dataset: PatchDataset, cells: pd.DataFrame, quantities: Sequence[str]
) -> pd.DataFrame:
    """Add what `judge` says about every cell; without a judge the table stays as it is.

    Adds `answered` (0 or 1), `reason` (empty where answered), ``gate_<name>`` (0 in the middle of the training cells,
    1 at the limit), and for each quantity ``lower_*``, ``upper_*`` and ``expected_error_*``, empty where there is none.
    A cell without a virtual value is not answered for that quantity: its interval is empty.
    """
    if judge is None:
        return cells
    patches = cells["patch"].to_numpy(int)
    parts = [patches[start : start + BATCH_SIZE] for start in range(0, len(patches), BATCH_SIZE)]
    columns: dict[str, list[object]] = {}
    row = 0
    for part in track(parts, "looking"):
        verdicts = judge.judge(np.asarray(dataset.brightfield.oindex[part], dtype=np.float32))
        found: dict[str, object] = {"answered": verdicts.answered.astype(int), "reason": np.array(verdicts.reasons)}
        for number, table in enumerate(judge.trust.gates.table):
            found[f"gate_{table.name}"] = verdicts.scores[:, number]
        for name in quantities:
            values = cells[f"virtual_{name}"].to_numpy(float)[row : row + len(part)]
            ends = judge.intervals(name, values, verdicts)
            found |= dict(zip((f"lower_{name}", f"upper_{name}", f"expected_error_{name}"), ends, strict=True))
        for name, values_of in found.items():
            columns.setdefault(name, []).append(values_of)
        row += len(part)
    added = pd.DataFrame(
        {name: np.concatenate([np.asarray(item) for item in items]) for name, items in columns.items()}
    )
    return pd.concat([cells, added.set_index(cells.index)], axis=1)


def trust_result(judge: Judge, cells: pd.DataFrame, held_out: Collection[str]) -> TrustResult:
    """Sum up, on the held-out donors, what :func:`judge_cells` added."""
    trust = judge.trust
    unseen = cells[cells["donor"].isin(list(held_out))]
    turned_away = {table.name: int((unseen[f"gate_{table.name}"] > 1).sum()) for table in trust.gates.table}
    return TrustResult(
        level=trust.intervals.coverage,
        exchangeable=trust.intervals.exchangeable,
        calibrated_on=trust.intervals.donors,
        missing=trust.intervals.missing,
        cells=len(unseen),
        answered=int(unseen["answered"].sum()),
        abstained_by=turned_away,
        quantities=tuple(_quantity(item.name, item.unit, unseen) for item in trust.quantities),
    )


def _quantity(name: str, unit: str, unseen: pd.DataFrame) -> QuantityTrustResult:
    true = unseen[f"true_{name}"].to_numpy(float)
    error = np.abs(unseen[f"virtual_{name}"].to_numpy(float) - true)
    measured = np.isfinite(error)
    answered = (unseen["answered"].to_numpy(int) == 1) & measured
    table = pd.DataFrame(
        {
            "donor": unseen["donor"].to_numpy(),
            "answered": answered,
            "held": (unseen[f"lower_{name}"].to_numpy(float) <= true)
            & (true <= unseen[f"upper_{name}"].to_numpy(float)),
            "width": (unseen[f"upper_{name}"] - unseen[f"lower_{name}"]).to_numpy(float),
        }
    )
    table["interval"] = np.isfinite(table["width"])
    donors = []
    for donor, rows in table.groupby("donor", sort=True):
        covered, width = _held(rows)
        donors.append(
            DonorTrust(
                donor=str(donor), cells=len(rows), answered=int(rows["answered"].sum()), covered=covered, width=width
            )
        )
    covered, width = _held(table)
    expected = unseen[f"expected_error_{name}"].to_numpy(float)
    return QuantityTrustResult(
        name=name,
        unit=unit,
        donors=tuple(donors),
        covered=covered,
        width=width,
        mae=_mean(error[measured]),
        mae_answered=_mean(error[answered]),
        mae_abstained=_mean(error[measured & ~answered]),
        risk_coverage=risk_coverage(error[measured], expected[measured], answered[measured])
        if measured.any()
        else None,
    )


def _held(rows: pd.DataFrame) -> tuple[float, float]:
    given = rows[rows["interval"]]
    return _mean(given["held"].to_numpy(float)), float(given["width"].median()) if len(given) else float("nan")


def risk_coverage(
    error: FloatArray, expected: FloatArray, answered: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> RiskCoverage:
    """Give the curve of N cells with absolute `error`, `expected` error, and whether they lie inside the gates.

    Examples
    --------
    >>> import numpy as np
    >>> curve = risk_coverage(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3]), np.array([True, True, True]))
    >>> curve.overall, curve.error[-1], round(curve.skill, 6)
    (2.0, 2.0, 1.0)
    """
    own = _running_mean(error[np.lexsort((expected, ~answered))])
    best = _running_mean(np.sort(error))
    overall = _mean(error)
    counts = np.unique(np.linspace(1, len(error), min(CURVE_POINTS, len(error))).round().astype(int))
    room = float((overall - best).mean())
    return RiskCoverage(
        share=tuple((counts / len(error)).tolist()),
        error=tuple(own[counts - 1].tolist()),
        best=tuple(best[counts - 1].tolist()),
        overall=overall,
        skill=float((overall - own).mean()) / room if room > 0 else float("nan"),
    )


def _running_mean(values: FloatArray) -> FloatArray:
    return np.asarray(np.cumsum(values) / np.arange(1, len(values) + 1))


def _mean(values: FloatArray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
