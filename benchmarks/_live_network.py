"""What the network alone takes, with nothing beside it: what the live loop's latency is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import _live_bundles
from vsf_edge.bundle import Bundle
from vsf_edge.cropping import crop
from vsf_edge.detectors.heads import Heads
from vsf_edge.frames import Frame, Mode
from vsf_edge.halo_tiling import field_tiling
from vsf_edge.live.parallel import ParallelSession
from vsf_edge.live.preparing import HEAD_SHARE

TIMES, ENOUGH_S = 12, 4.0


def network_alone(bundle: Bundle, session: Any, frame: Frame, mode: Mode) -> float:
    """Give the median time, in milliseconds, of the network on what the loop gives it of `frame`, all cut before."""
    heads = Heads(head_length=_live_bundles.FIELD_PX * HEAD_SHARE).detect(frame.pixels)
    patches = crop(frame.pixels, heads, _live_bundles.FIELD_PX, _live_bundles.SIDE)
    parts = None
    if mode == "field":
        height, width = frame.pixels.shape
        workers = session.workers if isinstance(session, ParallelSession) else 1
        tiling = field_tiling(bundle.manifest, height, width, _live_bundles.FIELD_PX, workers)
        parts = np.empty((len(tiling), 1, *tiling.part), frame.pixels.dtype)
        tiling.cut(tiling.padded(frame.pixels), parts)

    def act() -> None:
        for images in (patches, parts):
            if images is None or not len(images):
                continue
            if isinstance(session, ParallelSession) and len(images) > 1:
                _each(session, images)
            else:
                session.run(images)

    return _median_ms(act)


def ten_patches(session: Any) -> dict[str, float]:
    """Give the median time of ten patches, spread over all cores together, and each on a core of its own."""
    if not isinstance(session, ParallelSession):
        return {}
    patches = np.random.default_rng(0).integers(0, 256, (10, 1, _live_bundles.SIDE, _live_bundles.SIDE), np.uint8)
    return {
        "spread": round(_median_ms(lambda: session.run(patches)), 1),
        "a core each": round(_median_ms(lambda: _each(session, patches)), 1),
    }


def _each(session: ParallelSession, images: Any) -> None:
    for _ in session.each(lambda one, index: one.run(images[index : index + 1]), len(images)):
        pass


def _median_ms(act: Callable[[], object]) -> float:
    act()
    times: list[float] = []
    while len(times) < TIMES and (len(times) < 3 or sum(times) < 1000 * ENOUGH_S):
        start = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))
