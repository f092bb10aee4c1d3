"""Everything that a training is made of while it runs, as tensors and JSON values, and back into place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric

from vsframework.training.models import Model
from vsframework.training.position import Position
from vsframework.training.randomness import PREFIX, random_states, restore_random_states


@dataclass(kw_only=True)
class TrainingState:
    """Models, position and random states of a training in this process.

    Attributes
    ----------
    models
        Networks, optimisers and averages.
    fabric
        Where they are trained.
    seed
        For processes that an older state knows nothing of.
    scaler
        Of the loss, with ``training.precision = "16-mixed"``.
    position
        How far training is.
    """

    models: Sequence[Model]
    fabric: Fabric
    seed: int
    scaler: torch.amp.GradScaler | None = None
    position: Position = field(default_factory=Position)

    def gather(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Collect it: tensors by name, the rest as JSON values. Every process must call this."""
        tensors = random_states(self.fabric)
        groups: dict[str, Any] = {}
        for model in self.models:
            for role, network in model.networks.items():
                prefix = f"{model.plan.name}/{role}"
                tensors |= {f"{prefix}/weights/{name}": value for name, value in network.state_dict().items()}
                state = model.optimisers[role].state_dict()
                groups[prefix] = state["param_groups"]
                for index, values in state["state"].items():
                    tensors |= {f"{prefix}/optimiser/{index}/{name}": value for name, value in values.items()}
            if model.average is not None:
                average = model.average.state_dict()
                tensors |= {f"{model.plan.name}/average/{name}": value for name, value in average.items()}
        values = {"optimisers": groups, "position": self.position.as_json()}
        if self.scaler is not None:
            values["scaler"] = self.scaler.state_dict()
        return tensors, values

    def scatter(self, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
        """Put what `gather` collected back into place.

        Raises
        ------
        KeyError, TypeError, RuntimeError, ValueError
            When it was collected from other networks.
        """
        position = Position.from_json(values["position"])
        for model in self.models:
            for role, network in model.networks.items():
                prefix = f"{model.plan.name}/{role}"
                network.load_state_dict(below(tensors, f"{prefix}/weights/"))
                slots: dict[int, dict[str, torch.Tensor]] = {}
                for name, value in below(tensors, f"{prefix}/optimiser/").items():
                    slot, _, key = name.partition("/")
                    slots.setdefault(int(slot), {})[key] = value
                groups = values["optimisers"][prefix]
                model.optimisers[role].load_state_dict({"state": slots, "param_groups": groups})
            if model.average is not None:
                model.average.load_state_dict(below(tensors, f"{model.plan.name}/average/"))
        if self.scaler is not None:
            self.scaler.load_state_dict(values["scaler"])
        restore_random_states(below(tensors, PREFIX), self.fabric, self.seed)
        self.position = position


def below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Give the tensors whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
