"""What an evaluation found, and how it lies on disk: ``summary.json``, ``donors.csv`` and ``cells.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from vsframework.atomic import write_text
from vsframework.errors import UsageError, VsfError
from vsframework.evaluation.intervals import GainInterval
from vsframework.evaluation.metrics import Agreement, Value
from vsframework.evaluation.trusting import TrustResult

FOLDER = "evaluation"
"""Folder of the results inside a run."""


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DonorResult(_Result):
    """One row of the donor table (the paper's Table 1, with the constant beside it).

    `unmeasurable` cells are those whose virtual stains give no value (nothing was stained); they are in no other
    number, so that virtual stains and both baselines are compared on the same cells. `virtual` has no cells where
    there are no stains at all (a dataset of measured values). `constant` is the baseline's value for this donor, see
    `vsframework.evaluation.baselines`; `regressor` is the direct regressor, None where it was not asked for.
    """

    donor: str
    held_out: bool
    unmeasurable: int
    virtual: Agreement
    constant: Value
    constant_mae: Value
    constant_mape: Value
    skill: Value
    regressor: Agreement | None = None
    regressor_skill: Value = float("nan")

    @property
    def cells(self) -> int:
        """Cells of this donor that were compared."""
        return self.virtual.cells or (self.regressor.cells if self.regressor else 0)


class Averages(_Result):
    """Mean or standard deviation (n - 1) over donors; every donor counts the same.

    Without a prefix the numbers are those of the virtual stains. A skill is that of the mean MAEs; in a standard
    deviation it is that of the donors' skills.
    """

    donors: int
    mae: Value
    mape: Value
    constant_mae: Value
    constant_mape: Value
    skill: Value
    rmse: Value = float("nan")
    bias: Value = float("nan")
    pearson: Value = float("nan")
    spearman: Value = float("nan")
    concordance: Value = float("nan")
    regressor_mae: Value = float("nan")
    regressor_mape: Value = float("nan")
    regressor_bias: Value = float("nan")
    regressor_pearson: Value = float("nan")
    regressor_spearman: Value = float("nan")
    regressor_skill: Value = float("nan")


class QuantityResult(_Result):
    """One quantity over all donors; an interval is None where no held-out cell could be measured.

    `interval` is of the gain of the virtual stains over the constant, `regressor_interval` of the direct regressor's.
    """

    name: str
    unit: str
    description: str
    donors: tuple[DonorResult, ...]
    held_out: Averages
    mean: Averages
    sd: Averages
    interval: GainInterval | None
    regressor_interval: GainInterval | None = None

    def of_regressor(self) -> QuantityResult:
        """Give the same with the direct regressor's numbers in the place of the virtual stains'."""

        def averages(of: Averages) -> Averages:
            names = ("mae", "mape", "bias", "pearson", "spearman", "skill")
            return of.model_copy(update={name: getattr(of, f"regressor_{name}") for name in names})

        donors = tuple(
            row.model_copy(update={"virtual": row.regressor, "skill": row.regressor_skill})
            for row in self.donors
            if row.regressor is not None
        )
        return self.model_copy(
            update={
                "donors": donors,
                "held_out": averages(self.held_out),
                "mean": averages(self.mean),
                "sd": averages(self.sd),
                "interval": self.regressor_interval,
            }
        )

    @property
    def unmeasurable(self) -> int:
        """Cells of held-out donors without a virtual value."""
        return sum(row.unmeasurable for row in self.donors if row.held_out)

    @property
    def held_out_cells(self) -> int:
        """Cells of held-out donors that were compared."""
        return sum(row.cells for row in self.donors if row.held_out)


class PixelDonor(_Result):
    """Pixel metrics of one stain averaged over the cells of a donor; see `vsframework.evaluation.pixels`."""

    donor: str
    held_out: bool
    mae: Value
    psnr: Value
    ssim: Value
    pearson: Value


class PixelResult(_Result):
    """Virtual against true pixels of one stain: per donor, and the mean over held-out donors.

    `data_range` (counts) is what PSNR and SSIM are relative to: the brightest true pixel of the dataset's stain.
    """

    stain: str
    data_range: float
    donors: tuple[PixelDonor, ...]
    mae: Value
    psnr: Value
    ssim: Value
    pearson: Value


class Evaluation(_Result):
    """Everything that ``vsf evaluate`` found out about a run; `quantities` has the value of interest first.

    `empty_true` and `empty_virtual` count cells of held-out donors whose stains hold no signal at all: whatever value
    the quantifier gives those says nothing about DNA. `stains` is empty where there are only measured values: then
    the direct regressor is what was evaluated. `regressor` names it, and is empty where there was none. `scheme` says
    how donors were held out. `trust` is None for a run without ``trust.json``. Donors that are neither `held_out` nor
    `trained_on` chose weights (validation) or widths of intervals (calibration).
    """

    schema_version: Literal[1] = 1
    experiment: str
    stains: tuple[str, ...]
    held_out: tuple[str, ...]
    trained_on: tuple[str, ...]
    simulated: bool
    dataset_hash: str
    finished: str
    seconds: float
    software: dict[str, str]
    empty_true: int
    empty_virtual: int
    quantities: tuple[QuantityResult, ...]
    pixels: tuple[PixelResult, ...] = ()
    regressor: str = ""
    scheme: Literal["test-donors", "leave-one-donor-out"] = "test-donors"
    trust: TrustResult | None = None

    @property
    def method(self) -> Literal["virtual", "regressor"]:
        """What was evaluated: the prefix of its columns in ``cells.csv``."""
        return "virtual" if self.stains else "regressor"

    def role(self, donor: str) -> str:
        """Say what `donor` was to the model: only "held out" is a result."""
        if donor in self.held_out:
            return "held out"
        return "trained on" if donor in self.trained_on else "watched"

    def write(self, run: Path, cells: pd.DataFrame) -> None:
        """Write the tables and then the summary, which tells that all is there, into the run's evaluation folder."""
        folder = run / FOLDER
        write_text(folder / "cells.csv", cells.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
        table = donor_table(self).to_csv(index=False, float_format="%.9g", lineterminator="\n")
        write_text(folder / "donors.csv", table)
        write_text(folder / "summary.json", self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, run: Path) -> Evaluation:
        """Read the summary of a run.

        Raises
        ------
        UsageError
            When the run has not been evaluated.
        VsfError
            When the summary is damaged or of another format.
        """
        path = run / FOLDER / "summary.json"
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"{run} has not been evaluated yet; run 'vsf evaluate {run}' first") from None
        except (OSError, ValidationError) as error:
            raise VsfError(f"{path} cannot be read; run 'vsf evaluate {run}' again") from error


def donor_table(evaluation: Evaluation) -> pd.DataFrame:
    """Give one row per quantity and donor, flat, as in ``donors.csv``."""
    rows = []
    for quantity in evaluation.quantities:
        for row in quantity.donors:
            values = row.model_dump()
            direct = {f"regressor_{name}": value for name, value in (values.pop("regressor") or {}).items()}
            named = {"quantity": quantity.name, "unit": quantity.unit}
            rows.append({**named, **values.pop("virtual"), **values, **direct})
    first = ["quantity", "unit", "donor", "held_out", "cells", "unmeasurable"]
    table = pd.DataFrame(rows)
    return table[first + [name for name in table.columns if name not in first]]


def read_cells(run: Path) -> pd.DataFrame:
    """Read ``cells.csv`` of an evaluated run.

    Raises
    ------
    UsageError
        When the run has not been evaluated.
    """
    try:
        return pd.read_csv(run / FOLDER / "cells.csv", dtype={"id": str, "donor": str, "field": str})
    except FileNotFoundError:
        raise UsageError(f"{run} has not been evaluated yet; run 'vsf evaluate {run}' first") from None
