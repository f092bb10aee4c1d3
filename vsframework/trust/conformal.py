"""The quantile that makes an interval of an expected error (split conformal prediction)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from vsframework.trust.learning import Values
from vsframework.trust.table import Interval


def conformal_quantile(
    scores: Values, donors: Sequence[str], coverage: float, exchangeable: Literal["cells", "donors"]
) -> float | None:
    """Give how many expected errors an interval must reach.

    Parameters
    ----------
    scores
        [N], absolute error over expected error of the calibrating cells.
    donors
        Donor of each of them.
    exchangeable
        ``"cells"``: the ``ceil((N + 1) * coverage)``-th smallest score, which holds the value of one more cell of the
        same mixture of donors with at least that probability (Papadopoulos et al. 2002). ``"donors"``: every donor
        counts as one, and one more donor may be worse than all (Lee, Barber and Willett 2023), so that it holds for a
        cell of one more donor drawn like them.

    Returns
    -------
    float or None
        None where there are too few cells or donors for any finite interval to promise `coverage`.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.arange(1.0, 20.0)
    >>> conformal_quantile(scores, ["A"] * 19, 0.9, "cells")
    18.0
    >>> conformal_quantile(scores[:8], ["A"] * 8, 0.9, "cells") is None
    True
    >>> conformal_quantile(scores, ["A"] * 10 + ["B"] * 9, 0.9, "donors") is None
    True
    """
    order = np.argsort(scores, kind="stable")
    if exchangeable == "cells":
        rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
        return float(scores[order[rank - 1]]) if 0 < rank <= len(scores) else None
    names, counts = np.unique(np.asarray(donors, dtype=str), return_counts=True)
    share = dict(zip(names.tolist(), (1 / counts / (len(names) + 1)).tolist(), strict=True))
    reached = np.cumsum([share[str(donors[row])] for row in order])
    enough = np.flatnonzero(reached >= coverage - 1e-9)
    return float(scores[order[enough[0]]]) if len(enough) else None


def calibrate_interval(
    scores: Values, donors: Sequence[str], coverage: float, exchangeable: Literal["cells", "donors"]
) -> Interval:
    """Calibrate one quantity, and see how intervals from the other donors would have held each donor's cells."""
    of_cell = np.asarray(donors, dtype=str)
    across = {}
    for donor in sorted(set(of_cell.tolist())):
        own = of_cell == donor
        quantile = conformal_quantile(scores[~own], of_cell[~own].tolist(), coverage, exchangeable)
        if quantile is not None:
            across[donor] = float((scores[own] <= quantile).mean())
    return Interval(
        quantile=conformal_quantile(scores, of_cell.tolist(), coverage, exchangeable),
        cells=len(scores),
        across_donors=across,
    )
