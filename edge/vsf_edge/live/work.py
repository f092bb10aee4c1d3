"""One frame on its way through the stages."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from vsf_edge.frames import Detection, Frame
from vsf_edge.halo_tiling import HaloTiling
from vsf_edge.interfaces import Array
from vsf_edge.tiling import Tiling
from vsf_edge.trust import Verdicts


@dataclass(kw_only=True)
class Work:
    """What is known of one frame so far.

    Attributes
    ----------
    heads, patches
        Where the heads are, and their patches [N, 1, size, size] in counts.
    tiling
        In mode ``field``: how the field is cut.
    verdicts
        What the gates say about the patches, as soon as they have; None where nobody asked them.
    stains
        float32 [S, size, size] of each patch, in counts; empty where they were not stained.
    values
        What else the graph gave for the patches, by name: float32 [N].
    field_stains
        The stained field, float32 [S, H, W].
    problem
        Why it could not be stained.
    stages_ms
        Time spent per stage so far.
    """

    frame: Frame
    heads: Sequence[Detection] = ()
    patches: Array | None = None
    tiling: Tiling | HaloTiling | None = None
    verdicts: Future[Verdicts] | None = None
    stains: Sequence[Array] = ()
    values: Mapping[str, Array] = field(default_factory=dict)
    field_stains: Array | None = None
    problem: str = ""
    stages_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what happens inside to the time of `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + 1000 * (time.perf_counter() - start)
