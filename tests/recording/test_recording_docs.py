"""docs/recording.md is true: its example runs, and its tables name what is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.recording.made import make_cell, make_frame, make_result
from vsf_edge.frames import LiveSession
from vsf_edge.settings import describe_settings
from vsf_edge.sinks.recording import Recording, RecordingSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recording.md").read_text(encoding="utf-8")


def test_the_example_reads_a_recording(session: Callable[..., LiveSession], tmp_path: Path) -> None:
    sink = Recording(str(tmp_path))
    sink.start(session(mode="field"))
    for number in range(3):
        sink.take(make_result(number, field=True))
    sink.stop()
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    known: dict[str, Any] = {"folder": sink.folder}
    exec(compile(example, "docs/recording.md", "exec"), known)
    np.testing.assert_array_equal(known["patch"], make_cell(0, 1).stains[0])
    np.testing.assert_array_equal(known["field"], make_frame(0).pixels)
    assert list(known["good"]["abstained"].unique()) == [] or known["good"]["abstained"].isna().all()
    assert list(known["last"].index) == [1]  # the other track always abstained
    for name in ("frames.csv", "cells.csv"):
        for column in pd.read_csv(sink.folder / name).columns:
            assert f"`{column.replace('dfi', 'NAME')}`" in PAGE or column in (
                "x", "y", "angle", "length", "score", "dfi_steady_low", "dfi_steady_high"
            )  # fmt: skip


def test_every_setting_is_told() -> None:
    for setting in describe_settings(RecordingSettings):
        assert f"`{setting.name}=" in PAGE
