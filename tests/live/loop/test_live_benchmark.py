"""The benchmark of the live loop, with a tiny model: through Micro-Manager's core, in its order, and going on."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_doubles import a_frame

from tests.benchmark_scripts import load_benchmark
from vsf_edge.testing.sources import taken

WITH_CORE = pytest.mark.skipif(
    importlib.util.find_spec("pymmcore_plus") is None, reason="pymmcore-plus is not installed: make micromanager"
)
CASE = ["fast, onnxruntime, 512 px", "cells, 1 heads"]


@pytest.fixture
def benchmark_script(monkeypatch: pytest.MonkeyPatch, live_model: Callable[..., Path]) -> Any:
    """The script with the known model instead of an untrained network."""
    found = load_benchmark("live", monkeypatch)
    monkeypatch.setattr(found._live_bundles, "SIDE", 16)
    monkeypatch.setattr(found._live_bundles, "make_bundle", lambda generator, path: live_model().rename(path))
    return found


def measured(script: Any, monkeypatch: pytest.MonkeyPatch, path: Path, *options: str) -> dict[str, Any]:
    arguments = ["--seconds", "0.3", "--json", str(path), "--only", *CASE, *options]
    monkeypatch.setattr(sys, "argv", ["live.py", *arguments])
    script.main()
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return record


@WITH_CORE
def test_the_camera_of_the_core_shows_the_frames_at_the_pace_asked_for(benchmark_script: Any, tmp_path: Path) -> None:
    shown = [a_frame(number, np.full((64, 96), number, np.uint8)) for number in range(3)]
    source = benchmark_script.replay_camera(shown, tmp_path / "frames")(0.03)
    before = time.monotonic()
    source.open()
    try:
        given = taken(source, 6)
    finally:
        source.close()
    assert [int(frame.pixels[0, 0]) for frame in given] == [0, 1, 2, 0, 1, 2]
    assert {(frame.pixels.shape, frame.bit_depth, frame.pixel_size_um) for frame in given} == {((64, 96), 8, None)}
    arrivals = [frame.captured for frame in given]
    assert before + 6 * 0.03 < arrivals[-1] + 0.005 <= time.monotonic() + 0.005  # when the core got it, by its clock
    assert arrivals == sorted(arrivals)


@WITH_CORE
def test_a_record_says_which_source_and_is_gone_on_with(
    benchmark_script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "live.json"
    record = measured(benchmark_script, monkeypatch, path)
    assert record["source"] == "micromanager"
    (name, result), *others = record["results"].items()
    assert (name, others) == ("fast, onnxruntime, 512 px, cells, 1 heads", [])
    assert result["cells"] == 1
    assert 0 < result["fps"] < 1.1 * result["camera_fps"]
    assert 0 < result["paced_latency"]["p50_ms"] < 1000
    assert result["paced_latency"]["count"] >= benchmark_script.FEWEST
    assert name in capsys.readouterr().out
    assert measured(benchmark_script, monkeypatch, path, "--resume")["results"] == record["results"]
    assert name not in capsys.readouterr().out  # nothing was left to measure
    path.write_text(json.dumps({**record, "commit": "another"}), "utf-8")
    with pytest.raises(SystemExit, match="the record's commit is another"):
        measured(benchmark_script, monkeypatch, path, "--resume")


def test_without_micro_manager_frames_come_from_memory(
    benchmark_script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = measured(benchmark_script, monkeypatch, tmp_path / "live.json", "--source", "memory")
    assert record["source"] == "memory"
    assert all(result["fps"] > 0 and result["lost_in_camera"] == 0 for result in record["results"].values())


def test_every_case_that_the_issue_asks_for_is_there_and_the_goal_comes_first(benchmark_script: Any) -> None:
    names = [name for name, _ in benchmark_script.named_cases([])]
    assert len(set(names)) == len(names)
    for runtime in ("onnxruntime", "openvino"):
        assert f"fast, {runtime}, 1024 px, cells, 10 heads" in names[:2]
        assert f"pix2pix, {runtime}, 1024 px, cells, 10 heads" in names[:10]
        for side in (512, 1024, 2048):
            assert any(name.startswith(f"fast, {runtime}, {side} px, field") for name in names)


def test_the_table_is_in_the_order_of_its_columns(benchmark_script: Any) -> None:
    latency = {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0}
    stages = {"stain": 4.0}
    whole = {"cells": 1.0, "fps": 5.0, "paced_latency": latency, "paced_stages_p50_ms": stages, "outside_ms": 6.0}
    results = {
        name: {**whole, "over_network_ms": 8.0, "cpu_ms_per_frame": 7.0}
        for name, _ in benchmark_script.named_cases(["px, cells"])
    }
    rows = benchmark_script.table({"results": results}).splitlines()[2:]
    assert rows[0] == "| fast, onnxruntime | 512 px | cells | 1 | 5.0 | 1.0 | 2.0 | 3.0 | 4.0 | 6.0 | 8.0 | 7.0 |"
    sides = [row.split(" | ")[1] for row in rows if row.startswith("| fast, openvino")]
    assert sides == ["512 px"] * 2 + ["1024 px"] * 3 + ["2048 px"] * 3
