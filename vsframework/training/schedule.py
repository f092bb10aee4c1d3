"""The learning rate over the epochs: a factor that depends on the epoch alone, so that a resume needs no state."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def learning_rate_factor(schedule: Schedule, epoch: int, epochs: int) -> float:
    """Give what the learning rate is multiplied with in `epoch` (1 to `epochs`): 1 at the start, never 0.

    ``"constant"`` is the paper's. ``"linear"`` stays at 1 for the first half and falls to 0 after the last epoch
    (Isola et al. 2017, as published in PyTorch). ``"cosine"`` falls from the start (Loshchilov & Hutter 2017).

    Examples
    --------
    >>> [learning_rate_factor("linear", epoch, 6) for epoch in range(1, 7)]
    [1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if schedule == "linear":
        half = epochs // 2
        return 1 - max(0, epoch - half) / (epochs - half + 1)
    if schedule == "cosine":
        return (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
    return 1.0
