"""How long a bundle takes on this machine, by a protocol that says what is timed.

Timed is `Session.run`: counts in the computer's memory to stains and quantities there, with every copy to and from the
device. Not timed: opening, building, reading and writing of files. Warm-up runs use the same shape as timed ones,
because runtimes compile, tune and allocate per shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vsf_edge.errors import EdgeUsageError
from vsf_edge.interfaces import Array, Counts, Session
from vsf_edge.manifest import Manifest

PROTOCOL = (
    "Session.run from counts in host memory to stains and quantities in host memory, copies to and from the device "
    "included; one caller, one run after the other; opening, building and files excluded; warm-up at the timed shape"
)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What was measured at one batch size; times are per run of the whole batch, in milliseconds."""

    batch: int
    height: int
    width: int
    warm_up_runs: int
    runs: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    images_per_s: float

    def document(self) -> dict[str, Any]:
        """Give it as JSON values, rounded to four significant digits."""
        values = asdict(self)
        return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}


def time_session(
    session: Session,
    patches: Counts,
    runs: int,
    warm_up: int = 10,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time `runs` runs of `patches` [N, C, H, W], after `warm_up` of the same shape.

    `images_per_s` counts patches over the whole time of the timed runs.
    """
    for _ in range(warm_up):
        session.run(patches)
    seconds = np.empty(runs)
    for index in range(runs):
        start = clock()
        session.run(patches)
        seconds[index] = clock() - start
    p50, p95, p99 = 1000 * np.percentile(seconds, (50, 95, 99))
    return Timing(
        batch=len(patches),
        height=patches.shape[2],
        width=patches.shape[3],
        warm_up_runs=warm_up,
        runs=runs,
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        mean_ms=float(1000 * seconds.mean()),
        images_per_s=float(len(patches) * runs / seconds.sum()),
    )


def bench_patches(reference: Array, manifest: Manifest, batch: int, side: int | None = None) -> Counts:
    """Give `batch` patches to time on, of the graph's dtype: the reference's, repeated, and cut or tiled to `side`.

    Raises
    ------
    EdgeUsageError
        When the model does not take that many, or that size.
    """
    if manifest.max_batch is not None and batch > manifest.max_batch:
        raise EdgeUsageError(f"the model takes at most {manifest.max_batch} images at once, not {batch}")
    patches = reference[np.arange(batch) % len(reference)]
    if side is not None and (side, side) != patches.shape[2:]:
        limits = [limit for limit in (manifest.max_height, manifest.max_width) if limit is not None]
        if manifest.height is not None or manifest.width is not None:
            raise EdgeUsageError(f"the model takes {manifest.height} x {manifest.width} px only: leave --size out")
        if side % manifest.stride or any(side > limit for limit in limits):
            most = f" up to {min(limits)}" if limits else ""
            raise EdgeUsageError(f"the model takes sides that are multiples of {manifest.stride} px{most}, not {side}")
        repeats = [-(-side // length) for length in patches.shape[2:]]
        patches = np.tile(patches, (1, 1, *repeats))[:, :, :side, :side]
    if manifest.input_dtype == "float32":
        return np.ascontiguousarray(patches)
    whole: Counts = np.rint(patches).astype(manifest.input_dtype)
    return whole
