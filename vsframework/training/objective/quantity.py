"""Quantity consistency: the quantifier itself as a term, so that training optimises the number that is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from vsframework.errors import UsageError, VsfError
from vsframework.interfaces import Quantifier, Quantity
from vsframework.training.normalisation import Normalisation

if TYPE_CHECKING:
    import pandas as pd

Values = dict[str, torch.Tensor]
"""Quantities by name, float [N]."""

PROBE_PX = 16
"""Side of the patch on which gradients are tried."""


class QuantityTerm:
    """Judges virtual stains by what a quantifier measures on them.

    The term is the mean over the cells of ``|q(virtual) - q(true)|``, summed over the chosen quantities. A quantity
    of unit "1" (the DFI) is taken as it is; one with a unit (a sum in counts) is divided by its mean over the training
    cells, so that it weighs the same with every camera and patch size.

    Every pixel of a stain has the same influence on a sum, so the term alone would as soon brighten the background as
    the cell; it belongs beside a term that knows where the light is (``lambda_l1``).

    Parameters
    ----------
    quantifier
        Must measure torch tensors, with a gradient.
    names
        Which of its quantities; empty for the value of interest, its first.
    stains
        Names of the channels.
    normalisation
        How counts became [-1, 1].

    Raises
    ------
    UsageError
        When the quantifier has no such quantity, or one of them gives no gradient.
    VsfError
        When it cannot measure torch tensors.
    """

    def __init__(
        self, quantifier: Quantifier, names: Sequence[str], stains: Sequence[str], normalisation: Normalisation
    ) -> None:
        self.quantities = chosen_quantities(quantifier, names)
        self._quantifier = quantifier
        self._stains = tuple(stains)
        self._normalisation = normalisation
        self._scales = {quantity.name: 1.0 for quantity in self.quantities}
        self._require_gradients()

    def fit_scales(self, cells: pd.DataFrame) -> None:
        """Read the typical size of every quantity that has a unit from the training `cells` of a dataset.

        Raises
        ------
        VsfError
            When a quantity was not measured, or is 0 on every training cell.
        """
        for quantity in self.quantities:
            if quantity.unit == "1":
                continue
            if quantity.name not in cells:
                raise VsfError(
                    f"objective.quantities: the dataset has no measured {quantity.name}; build it again with the "
                    "quantifier of this experiment"
                )
            mean = float(cells[quantity.name].abs().mean())
            if not mean > 0:
                raise VsfError(
                    f"objective.quantities: the mean {quantity.name} of the training cells is {mean:g}, so nothing can "
                    "be learned from it; leave it out"
                )
            self._scales[quantity.name] = mean

    def measure(self, stains: torch.Tensor) -> Values:
        """Measure `stains` [N, C, H, W] in [-1, 1], all channels, in the unit of each quantity."""
        counts = self._normalisation.differentiable_counts(stains)
        values = self._quantifier.measure(counts, self._stains)
        return {quantity.name: values[quantity.name] for quantity in self.quantities}

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compare virtual with true stains, both [N, C, H, W] in [-1, 1]; >= 0."""
        with torch.no_grad():
            measured = self.measure(target)
        return self.against(output, measured)

    def against(self, output: torch.Tensor, measured: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compare virtual stains [N, C, H, W] in [-1, 1] with `measured` values [N] by name; >= 0."""
        found = self.measure(output)
        errors = [(found[name] - measured[name]).abs().mean() / scale for name, scale in self._scales.items()]
        return torch.stack(errors).sum()

    def _require_gradients(self) -> None:
        """Try every quantity on a small patch, before hours are spent on a term that steers nothing."""
        channels, generator = len(self._stains), torch.Generator().manual_seed(0)
        probe = torch.rand((1, channels, PROBE_PX, PROBE_PX), generator=generator) * 2 - 1
        probe.requires_grad_(True)
        try:
            found = self.measure(probe)
        except VsfError:
            raise
        except Exception as error:
            raise VsfError(
                "objective.lambda_quantity needs a quantifier that measures torch tensors, and this one does not "
                f"({type(error).__name__}: {error}); write it against the array-API standard"
            ) from error
        for name, value in found.items():
            slope = (
                torch.autograd.grad(value.sum(), probe, retain_graph=True, allow_unused=True)[0]
                if value.requires_grad
                else None
            )
            if slope is None or not bool(slope.isfinite().all()) or not bool(slope.any()):
                raise UsageError(
                    f"objective.lambda_quantity: {name} as measured here gives no usable gradient (a count of bright "
                    "pixels has none), so nothing can be learned from it; choose another quantity or mode"
                )


def chosen_quantities(quantifier: Quantifier, names: Sequence[str]) -> list[Quantity]:
    """Give the quantities called `names`, or the value of interest where `names` is empty.

    Raises
    ------
    UsageError
        When there is no quantity of that name.
    """
    known = {quantity.name: quantity for quantity in quantifier.quantities}
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(
            f"objective.quantities: the quantifier gives no {', '.join(missing)}; it gives {', '.join(known)}"
        )
    return [known[name] for name in dict.fromkeys(names)] if names else [quantifier.quantities[0]]
