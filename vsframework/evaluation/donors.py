"""The donor table: one row per donor, held-out donors and those trained on never mixed up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from vsframework.errors import VsfError
from vsframework.evaluation.baselines import donor_constants
from vsframework.evaluation.intervals import GainInterval, gain_interval
from vsframework.evaluation.metrics import Agreement, agreement, skill
from vsframework.evaluation.results import Averages, DonorResult, QuantityResult
from vsframework.interfaces import Quantity


def quantity_result(cells: pd.DataFrame, quantity: Quantity, held_out: Collection[str]) -> QuantityResult:
    """Compare measured and virtual values of one quantity, per donor and beside the constant.

    Parameters
    ----------
    cells
        One row per cell: `donor`, ``true_<quantity>`` (finite) and ``virtual_<quantity>`` (NaN where the virtual
        stains give no value).
    quantity
        What to compare.
    held_out
        Donors that the model has not seen; all others were trained on.

    Raises
    ------
    VsfError
        When there is no donor to take a constant from.
    """
    constants = constant_column(cells, quantity.name, held_out)
    rows = [
        donor_result(str(donor), group, constants[str(donor)], quantity.name, held_out)
        for donor, group in cells.groupby("donor", sort=True)
    ]
    unseen = [row for row in rows if row.held_out]
    return QuantityResult(
        name=quantity.name,
        unit=quantity.unit,
        description=quantity.description,
        donors=tuple(rows),
        held_out=mean(unseen),
        mean=mean(rows),
        sd=deviation(rows),
        interval=_interval(cells, quantity.name, unseen, constants),
    )


def constant_column(cells: pd.DataFrame, quantity: str, held_out: Collection[str]) -> Mapping[str, float]:
    """Give the constant baseline of each donor of `cells`, from the donors that are not `held_out`."""
    donors = [str(donor) for donor in cells["donor"]]
    return donor_constants(donors, cells[f"true_{quantity}"].to_numpy(float), set(donors) - set(held_out))


def constant_results(cells: pd.DataFrame, quantity: str) -> list[tuple[str, float, Agreement]]:
    """Give the baseline of a dataset alone: each donor held out in turn, its constant, and how well that fits.

    Parameters
    ----------
    cells
        One row per cell: `donor`, and the column `quantity` with its measured value.
    quantity
        Which column to predict.

    Raises
    ------
    VsfError
        When a measured value is missing, or there is only one donor.
    """
    require_finite(cells, quantity, quantity)
    values = cells[quantity].to_numpy(float)
    donors = cells["donor"].astype(str)
    found = []
    for donor, constant in donor_constants(donors.tolist(), values).items():
        own = values[(donors == donor).to_numpy()]
        found.append((donor, constant, agreement(own, np.full(len(own), constant))))
    return found


def require_finite(cells: pd.DataFrame, column: str, quantity: str) -> None:
    """Stop where a measured value is missing: leaving such cells out in silence would flatter the result."""
    missing = cells[~np.isfinite(cells[column].to_numpy(float))]
    if len(missing):
        first = missing.iloc[0]
        raise VsfError(
            f"{len(missing)} accepted cells have no measured {quantity} (the first is {first['id']} of donor "
            f"{first['donor']}); reject cells without signal when building the dataset"
        )


def donor_result(
    donor: str, cells: pd.DataFrame, constant: float, quantity: str, held_out: Collection[str]
) -> DonorResult:
    """Give the table's row of one donor; model and constant are compared on the same cells."""
    measurable = cells[np.isfinite(cells[f"virtual_{quantity}"].to_numpy(float))]
    measured = measurable[f"true_{quantity}"].to_numpy(float)
    virtual = agreement(measured, measurable[f"virtual_{quantity}"].to_numpy(float))
    if np.isfinite(constant):
        fixed = agreement(measured, np.full(len(measured), constant))
        constant_mae, constant_mape = fixed.mae, fixed.mape
    else:
        constant_mae = constant_mape = float("nan")
    return DonorResult(
        donor=donor,
        held_out=donor in held_out,
        unmeasurable=len(cells) - len(measurable),
        virtual=virtual,
        constant=constant,
        constant_mae=constant_mae,
        constant_mape=constant_mape,
        skill=skill(virtual.mae, constant_mae),
    )


def mean(rows: Sequence[DonorResult]) -> Averages:
    """Average over donors, every donor counting the same, as in the paper's Table 1; NaN if one has no value."""
    values = _columns(rows).mean(axis=0)
    return _averages(rows, values, skill(values[0], values[2]))


def deviation(rows: Sequence[DonorResult]) -> Averages:
    """Give the standard deviation over donors (n - 1); NaN for a single donor."""
    values = _columns(rows).std(axis=0, ddof=1) if len(rows) > 1 else np.full(4, np.nan)
    return _averages(rows, values, float(np.std([row.skill for row in rows], ddof=1)) if len(rows) > 1 else np.nan)


def _columns(rows: Sequence[DonorResult]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[row.virtual.mae, row.virtual.mape, row.constant_mae, row.constant_mape] for row in rows])


def _averages(
    rows: Sequence[DonorResult], values: np.ndarray[tuple[int], np.dtype[np.float64]], share: float
) -> Averages:
    mae, mape, constant_mae, constant_mape = values.tolist()
    return Averages(
        donors=len(rows), mae=mae, mape=mape, constant_mae=constant_mae, constant_mape=constant_mape, skill=share
    )


def _interval(
    cells: pd.DataFrame, quantity: str, unseen: Sequence[DonorResult], constants: Mapping[str, float]
) -> GainInterval | None:
    if not unseen or any(row.virtual.cells == 0 for row in unseen):
        return None
    errors = {}
    for row in unseen:
        own = cells[(cells["donor"] == row.donor) & np.isfinite(cells[f"virtual_{quantity}"])]
        measured = own[f"true_{quantity}"].to_numpy(float)
        model = np.abs(own[f"virtual_{quantity}"].to_numpy(float) - measured)
        errors[row.donor] = (model, np.abs(constants[row.donor] - measured))
    return gain_interval(errors)
