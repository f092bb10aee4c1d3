"""What can be said without looking at the cell: the constant that every result is shown against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vsframework.errors import VsfError
from vsframework.interfaces import FloatArray


def donor_constants(
    donors: Sequence[str], values: FloatArray, trained_on: Iterable[str] | None = None
) -> dict[str, float]:
    """Give, for each donor, the one value that fits the cells of the *other* donors best: their median.

    The median minimises the mean absolute error, so this is the strongest constant in that sense.

    Parameters
    ----------
    donors, values
        Donor and measured value of each cell, [N], finite.
    trained_on
        The donors a model has seen. The constant of a held-out donor is the median over all their cells; that of a
        donor among them is the median over the cells of the *others* among them (its own cells would make the
        constant look better than it could be on a new donor). Without it every donor takes its turn as the held-out
        one, and the constant is the median over all other donors.

    Returns
    -------
    dict
        Donor to constant, in the unit of `values`; NaN for the only donor trained on, which has no others.

    Raises
    ------
    VsfError
        When there is no other donor to take a constant from.

    Examples
    --------
    >>> import numpy as np
    >>> donor_constants(["A", "A", "B", "B", "C"], np.array([0.25, 0.25, 0.5, 0.5, 0.5]))
    {'A': 0.5, 'B': 0.25, 'C': 0.375}
    >>> donor_constants(["A", "A", "B", "B", "C"], np.array([0.25, 0.25, 0.5, 0.5, 0.5]), trained_on=["A", "B"])
    {'A': 0.5, 'B': 0.25, 'C': 0.375}
    """
    of_cell = np.asarray(donors, dtype=str)
    measured = np.asarray(values, dtype=np.float64)
    everyone = sorted(set(of_cell.tolist()))
    seen = everyone if trained_on is None else sorted(set(trained_on) & set(everyone))
    if not seen or len(everyone) == 1:
        raise VsfError(
            f"the constant baseline needs cells of at least one other donor to learn from, and there are only "
            f"those of {', '.join(everyone) or 'nobody'}; add donors to the dataset"
        )
    constants = {}
    for donor in everyone:
        others = measured[np.isin(of_cell, [name for name in seen if name != donor])]
        constants[donor] = float(np.median(others)) if len(others) else float("nan")
    return constants
