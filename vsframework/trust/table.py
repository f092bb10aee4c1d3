"""``trust.json``: what a run knows about when its numbers can be trusted, as plain JSON that the edge reads too.

docs/trust.md explains every entry. The edge has its own reader (:mod:`vsf_edge.trust`), because it imports nothing of
this package; a test holds the two to the same decisions.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vsframework.atomic import write_text
from vsframework.errors import UsageError, VsfError

NAME = "trust.json"
"""Name of the table in a run folder, and in a bundle."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class MeasureLimits(_Table):
    """One value of a gate: its unit, what is wrong outside the limits, and where training cells lie.

    `middle` is their median, `below` and `above` the distances from it to their 2.5 and 97.5 percentiles, stretched
    where donors differ. `low` and `high` are the limits; None where that side is fine, or where the values of the gate
    are judged together.
    """

    name: str
    unit: str
    too_low: str
    too_high: str
    middle: float
    below: float
    above: float
    low: float | None
    high: float | None


class GateTable(_Table):
    """One gate: which code measures it, with which parameters, and what it accepts.

    `together` is the reason text of a gate whose values are judged by their Mahalanobis distance: standardised by
    `middle` and `below` or `above`, weighed with `precision`, at most `limit`. It is empty, and they are None, where
    every value has limits of its own.
    """

    name: str
    version: str
    distribution: str
    distribution_version: str
    parameters: dict[str, Any]
    together: str
    measures: tuple[MeasureLimits, ...]
    precision: tuple[tuple[float, ...], ...] | None
    limit: float | None


class Gates(_Table):
    """All gates of a run, and how their limits were learnt.

    Attributes
    ----------
    false_alarms
        The budget: share of good cells that all gates together may turn away.
    reach
        One number for all gates: the limits lie this many times ``below`` or ``above`` from the middle.
    cells, donors
        The cells it was learnt from, all of donors trained on.
    out_of_bounds
        Training cells that broke a fixed limit (black borders) and taught nothing.
    left_out
        Share of the cells of each training donor that limits from the *other* donors, with this reach, turn away.
    """

    false_alarms: float
    reach: float
    cells: int
    out_of_bounds: int
    donors: tuple[str, ...]
    left_out: dict[str, float]
    table: tuple[GateTable, ...]


class Difficulty(_Table):
    """How large an absolute error is to be expected: ``max(floor, constant + weights . features)``.

    The features are the worst score of every gate (0 in the middle, 1 at its limit), in the order of the table, and
    how far the value lies below and above `middle`, in units of `scale`. No weight is negative.
    """

    fitted_on: Literal["validation donors", "training donors"]
    cells: int
    constant: float
    floor: float
    weights: tuple[float, ...]
    middle: float
    scale: float


class Interval(_Table):
    """``value - quantile * difficulty`` to ``value + quantile * difficulty``; `quantile` None: too few to promise it.

    `across_donors` is the coverage of each calibration donor by intervals from the *other* calibration donors.
    """

    quantile: float | None
    cells: int
    across_donors: dict[str, float]


class QuantityTrust(_Table):
    """What is known about the error of one quantity. `interval` is None without calibration donors.

    `lowest` and `highest` are the ends of what it can be at all, None where there is none or nothing is known.
    """

    name: str
    unit: str
    lowest: float | None = None
    highest: float | None = None
    difficulty: Difficulty
    interval: Interval | None


class Intervals(_Table):
    """How the intervals were calibrated, on which donors; `missing` says why there are none."""

    coverage: float
    exchangeable: Literal["cells", "donors"]
    donors: tuple[str, ...]
    missing: str


class Trust(_Table):
    """The whole table of a run."""

    format: Literal["vsframework-trust"] = "vsframework-trust"
    schema_version: Literal[1] = 1
    weights: str
    dataset: str
    full_scale: float
    planes: int
    size: int
    gates: Gates
    intervals: Intervals
    quantities: tuple[QuantityTrust, ...]

    def write(self, run: Path) -> None:
        """Write it into the run folder, whole or not at all."""
        write_text(run / NAME, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, run: Path) -> Trust | None:
        """Read the table of a run; None where there is none.

        Raises
        ------
        VsfError
            When it is damaged, or belongs to other weights than the run has now.
        """
        path = run / NAME
        try:
            trust = cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValidationError) as error:
            raise VsfError(f"{path} cannot be read; run 'vsf calibrate {run}' again") from error
        if trust.weights != weights_hash(run):
            raise VsfError(f"{path} was learnt for other weights than this run has now; run 'vsf calibrate {run}'")
        return trust


def weights_hash(run: Path) -> str:
    """Give the SHA-256 of the weights of a run.

    Raises
    ------
    UsageError
        When it is not trained.
    """
    from vsframework.training.checkpoints import FINAL  # torch is only loaded here

    path = run / "checkpoints" / FINAL
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{run} is not trained yet: there is no {path}; run 'vsf train' first") from None
