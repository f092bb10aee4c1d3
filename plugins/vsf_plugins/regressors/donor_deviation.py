"""Values to deviations from what is usual for the donor, and back: what a regressor should learn to generalise.

Donors differ in level for reasons that brightfield does not show (preparation, staining, days between ejaculation and
measurement). A regressor that is asked for the value learns to recognise donors instead of cells; asked for how a cell
differs from the other cells of its donor, it has nothing to gain by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DeviationScale:
    """How values became deviations. Make one with :func:`deviations`.

    Attributes
    ----------
    logarithmic
        Whether differences were taken between logarithms: where all values are positive, as an index or a sum.
    level
        Median of the donors' medians, on that scale: each donor counts the same.
    unit
        Standard deviation of the deviations, on that scale; 1 where they do not vary.
    """

    logarithmic: bool
    level: float
    unit: float

    def values(self, found: Floats) -> Floats:
        """Give the values [N] of `found` deviations [N], for a donor of the usual level."""
        scaled = self.level + self.unit * found
        back: Floats = np.exp(scaled) if self.logarithmic else scaled
        return back


def deviations(values: Floats, donors: Sequence[str]) -> tuple[Floats, DeviationScale]:
    """Give how far each of `values` [N] lies from the median of its donor: [N], S.D. 1, and the scale to go back.

    Examples
    --------
    >>> import numpy as np
    >>> found, scale = deviations(np.array([-1.0, 0.0, 1.0, 4.0, 5.0, 6.0]), ["A"] * 3 + ["B"] * 3)
    >>> (found * scale.unit).round(6).tolist(), scale.level
    ([-1.0, 0.0, 1.0, -1.0, 0.0, 1.0], 2.5)
    """
    logarithmic = bool((values > 0).all())
    scaled = np.log(values) if logarithmic else np.asarray(values, dtype=np.float64)
    _, of_cell = np.unique(np.asarray(donors, dtype=str), return_inverse=True)
    medians = np.array([np.median(scaled[of_cell == index]) for index in range(of_cell.max() + 1)])
    rest = scaled - medians[of_cell]
    unit = float(rest.std()) or 1.0
    return rest / unit, DeviationScale(logarithmic, float(np.median(medians)), unit)
