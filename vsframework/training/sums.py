"""Sums of the loss terms over an epoch, in all processes that share its batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from lightning_fabric import Fabric

from vsframework.training.objective import Terms
from vsframework.training.position import Means


class EpochSums:
    """Adds terms up on the device, so that no step waits for a number.

    Parameters
    ----------
    fabric
        Where training runs.
    models
        Names.
    kept
        Sums of an epoch that was begun, model to term to sum; the first process takes them up.
    """

    def __init__(self, fabric: Fabric, models: Iterable[str], kept: Mapping[str, Means]) -> None:
        self._fabric = fabric
        self._sums: dict[str, dict[str, torch.Tensor]] = {model: {} for model in models}
        for model, terms in kept.items():
            for name, value in terms.items():
                own = value if fabric.is_global_zero else 0.0
                self._sums[model][name] = torch.tensor(own, dtype=torch.float32, device=fabric.device)

    def add(self, model: str, terms: Terms, patches: float) -> None:
        """Count the mean `terms` of a step on this process's share of `patches`."""
        known = self._sums[model]
        for name, term in terms.items():
            weighted = term * (patches / self._fabric.world_size)
            known[name] = known[name] + weighted if name in known else weighted

    def total(self) -> dict[str, Means]:
        """Give the sums over all processes; every process must call this."""
        return {
            model: {name: self._everywhere(value) for name, value in terms.items()}
            for model, terms in self._sums.items()
        }

    def _everywhere(self, value: torch.Tensor) -> float:
        if self._fabric.world_size > 1:
            value = self._fabric.all_reduce(value.clone(), reduce_op="sum")  # type: ignore[assignment]
        return float(value)
