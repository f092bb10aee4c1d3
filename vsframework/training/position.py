"""Where a training stands: what a checkpoint holds beside weights and random states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vsframework.errors import VsfError

EXPLODED = 1000.0
"""A loss term this many times larger than its lowest mean so far (but at least than 1) has exploded.

Targets are in [-1, 1] and a healthy cross-entropy is below 10, so 1000 is far outside of both.
"""

Means = dict[str, float]


@dataclass(kw_only=True)
class Position:
    """How far training is, in whole epochs and batches of the next one, and what decides how it ends.

    Attributes
    ----------
    epoch, batch
        Epochs done, and batches done of the epoch after them.
    sums
        Sums of the loss terms over the patches of that epoch: model to term to sum.
    lowest
        The lowest mean of an epoch so far, by model and term.
    best_epoch, best_score
        The epoch whose weights validated best (0: none yet), and its score; lower is better.
    stale
        Validations since.
    """

    epoch: int = 0
    batch: int = 0
    sums: dict[str, Means] = field(default_factory=dict)
    lowest: dict[str, Means] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: float = math.inf
    stale: int = 0

    def judge(self, score: float, epoch: int) -> bool:
        """Take the validation `score` of `epoch` in; gives whether it is the best so far."""
        better = score < self.best_score
        if better:
            self.best_epoch, self.best_score, self.stale = epoch, score, 0
        else:
            self.stale += 1
        return better

    def check(self, model: str, means: Means) -> None:
        """Make sure that the losses of `model`, by term, are numbers and have not exploded.

        Raises
        ------
        VsfError
            When they are not, or have.
        """
        wrong = [name for name, value in means.items() if not math.isfinite(value)]
        where = f"in epoch {self.epoch + 1}; the last good checkpoint is kept, so lower training.learning_rate"
        if wrong:
            raise VsfError(
                f"the loss of {model} ({', '.join(wrong)}) stopped being a number {where} or change training.precision"
            )
        for name, value in means.items():
            if value > EXPLODED * max(self.lowest.get(model, {}).get(name, 1.0), 1.0):
                raise VsfError(f"the loss of {model} exploded ({name} = {value:.3g}) {where}")

    def end_epoch(self, means: Mapping[str, Means]) -> None:
        """Count one epoch more, whose `means` are those of every model and term."""
        for model, terms in means.items():
            lowest = self.lowest.setdefault(model, {})
            for name, value in terms.items():
                lowest[name] = min(value, lowest.get(name, value))
        self.epoch += 1
        self.batch = 0
        self.sums = {}

    def as_json(self) -> dict[str, Any]:
        """Give it as plain values; a score that there is none of yet is None."""
        return {**asdict(self), "best_score": self.best_score if self.best_epoch else None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Position:
        """Read what `as_json` gave."""
        score = values["best_score"]
        return cls(**{**values, "best_score": math.inf if score is None else score})
