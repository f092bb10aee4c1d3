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

AVERAGED = ("constant_mae", "constant_mape", "skill", "regressor_skill")
AVERAGED_AGREEMENT = ("mae", "mape", "rmse", "bias", "pearson", "spearman", "concordance")
"""What is averaged over donors: of their rows, and of how well a method agrees with what was measured."""


def quantity_result(cells: pd.DataFrame, quantity: Quantity, held_out: Collection[str]) -> QuantityResult:
    """Compare measured and virtual values of one quantity, per donor and beside the constant.

    Parameters
    ----------
    cells
        One row per cell: `donor`, ``true_<quantity>`` (finite), and ``virtual_<quantity>`` (NaN where the virtual
        stains give no value), ``regressor_<quantity>`` (finite), or both.
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
    direct = f"regressor_{quantity.name}" in cells
    rows = [
        donor_result(str(donor), group, constants[str(donor)], quantity.name, held_out)
        for donor, group in cells.groupby("donor", sort=True)
    ]
    unseen = [row for row in rows if row.held_out]
    measurable = _measurable(cells, quantity.name)
    return QuantityResult(
        name=quantity.name,
        unit=quantity.unit,
        description=quantity.description,
        donors=tuple(rows),
        held_out=mean(unseen),
        mean=mean(rows),
        sd=deviation(rows),
        interval=_interval(measurable, "virtual", quantity.name, unseen, constants),
        regressor_interval=_interval(measurable, "regressor", quantity.name, unseen, constants) if direct else None,
    )


def constant_column(cells: pd.DataFrame, quantity: str, held_out: Collection[str]) -> Mapping[str, float]:
    """Give the constant baseline of each donor of `cells`, from the donors that are not `held_out`.

    Where every donor is held out (in turn: cross-validation), it is from all others.
    """
    donors = [str(donor) for donor in cells["donor"]]
    seen = set(donors) - set(held_out)
    return donor_constants(donors, cells[f"true_{quantity}"].to_numpy(float), seen or None)


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
    """Give the table's row of one donor; model and baselines are compared on the same cells."""
    has_virtual, has_direct = (f"{method}_{quantity}" in cells for method in ("virtual", "regressor"))
    measurable = _measurable(cells, quantity)
    measured = measurable[f"true_{quantity}"].to_numpy(float)
    nothing = agreement(measured[:0], measured[:0])
    virtual = agreement(measured, measurable[f"virtual_{quantity}"].to_numpy(float)) if has_virtual else nothing
    direct = agreement(measured, measurable[f"regressor_{quantity}"].to_numpy(float)) if has_direct else None
    fixed = agreement(measured, np.full(len(measured), constant)) if np.isfinite(constant) else nothing
    return DonorResult(
        donor=donor,
        held_out=donor in held_out,
        unmeasurable=len(cells) - len(measurable),
        virtual=virtual,
        constant=constant,
        constant_mae=fixed.mae,
        constant_mape=fixed.mape,
        skill=skill(virtual.mae, fixed.mae),
        regressor=direct,
        regressor_skill=skill(direct.mae, fixed.mae) if direct else float("nan"),
    )


def mean(rows: Sequence[DonorResult]) -> Averages:
    """Average over donors, every donor counting the same, as in the paper's Table 1; NaN if one has no value."""
    values = {name: float(np.mean(column)) for name, column in _columns(rows).items()}
    values["skill"] = skill(values["mae"], values["constant_mae"])
    values["regressor_skill"] = skill(values["regressor_mae"], values["constant_mae"])
    return Averages(donors=len(rows), **values)


def deviation(rows: Sequence[DonorResult]) -> Averages:
    """Give the standard deviation over donors (n - 1); NaN for a single donor."""
    values = {
        name: float(np.std(column, ddof=1)) if len(rows) > 1 else float("nan")
        for name, column in _columns(rows).items()
    }
    return Averages(donors=len(rows), **values)


def _measurable(cells: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Leave out the cells whose virtual stains give no value, for virtual stains and baselines alike."""
    column = f"virtual_{quantity}"
    return cells[np.isfinite(cells[column].to_numpy(float))] if column in cells else cells


def _columns(rows: Sequence[DonorResult]) -> dict[str, list[float]]:
    """Name in `Averages` to one value per donor."""
    of_donor = {name: [float(getattr(row, name)) for row in rows] for name in AVERAGED}
    of_virtual = {name: [float(getattr(row.virtual, name)) for row in rows] for name in AVERAGED_AGREEMENT}
    of_direct = {
        f"regressor_{name}": [float(getattr(row.regressor, name, "nan")) for row in rows]
        for name in AVERAGED_AGREEMENT
        if f"regressor_{name}" in Averages.model_fields
    }
    return {**of_donor, **of_virtual, **of_direct}


def _interval(
    cells: pd.DataFrame, method: str, quantity: str, unseen: Sequence[DonorResult], constants: Mapping[str, float]
) -> GainInterval | None:
    column = f"{method}_{quantity}"
    if column not in cells or not unseen or any(row.cells == 0 for row in unseen):
        return None
    errors = {}
    for row in unseen:
        own = cells[cells["donor"] == row.donor]
        measured = own[f"true_{quantity}"].to_numpy(float)
        model = np.abs(own[column].to_numpy(float) - measured)
        errors[row.donor] = (model, np.abs(constants[row.donor] - measured))
    return gain_interval(errors)
