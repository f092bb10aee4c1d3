"""Frames of a real Micro-Manager core are recorded with what the core says of them, and replayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.recording.made import make_result
from vsf_edge.frames import LiveSession
from vsf_edge.recording.contents import look, rows
from vsf_edge.sinks.recording import Recording

pytestmark = [
    pytest.mark.micromanager,
    pytest.mark.skipif(
        not (find_spec("pymmcore_plus") and find_spec("mm_test_adapters")),
        reason="pymmcore-plus and mm-test-adapters are not installed here",
    ),
]


def test_frames_of_the_demo_camera_are_recorded(session: Callable[..., LiveSession], tmp_path: Path) -> None:
    from vsf_edge.sources.micromanager import MicroManager

    source = MicroManager()
    sink = Recording(str(tmp_path / "out"))
    sink.start(session())
    source.open()
    frames = []
    while len(frames) < 5:
        frame = source.read(2.0)
        if frame is not None:
            frames.append(frame)
            sink.take(replace(make_result(len(frames) - 1), frame=frame))
    source.close()
    sink.stop()
    assert sink.folder is not None
    assert look(sink.folder).whole
    recorded = zarr.open_group(sink.folder / "fields" / "brightfield.ome.zarr", mode="r")["0"]
    np.testing.assert_array_equal(recorded[:], np.stack([frame.pixels for frame in frames]))
    table = list(rows(sink.folder / "frames.csv"))
    assert [int(row["number"]) for row in table] == [frame.number for frame in frames]
    assert [json.loads(row["metadata"]) for row in table] == [dict(frame.metadata) for frame in frames]
