"""The real command in a process of its own, on the simulated camera: results, signals, refusals, log, metrics."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from live_doubles import ScriptedSource, frames
from prometheus_client.parser import text_string_to_metric_families

from vsf_edge.cli.live import command
from vsf_edge.live.log import close_log, open_log
from vsf_edge.live.metrics import metrics_text

CAMERA = ("-O", "width=400", "-O", "height=400", "-O", "cells=2", "-O", "fps=30")


@pytest.fixture
def start(tmp_path: Path, live_model: Callable[..., Path]) -> Any:
    """Start ``vsf-edge live`` on the simulated camera."""
    started: list[subprocess.Popen[str]] = []

    def run(*options: str, model: bool = True) -> subprocess.Popen[str]:
        named = [str(live_model(simulated=True))] if model else []
        process = subprocess.Popen(
            [sys.executable, "-m", "vsf_edge", "live", *named, *options],
            cwd=tmp_path,
            env={**os.environ, "VSF_EDGE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_session_ends_with_its_summary(start: Any, tmp_path: Path) -> None:
    process = start(
        *CAMERA, "--runtime", "onnxruntime", "--no-browser-view", "--frames", "12", "--json", "--log", "l.jsonl"
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["results"] == 12
    assert summary["latency"]["p99_ms"] >= summary["latency"]["p50_ms"] > 0
    assert {"detect", "crop", "stain", "quantify", "track", "wait"} == set(summary["stages"])
    assert "trained on simulated images" in err
    events = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["event"] for event in events if event["event"] in ("started", "ended")] == ["started", "ended"]
    assert events[-1]["results"] == 12
    assert {"time", "level", "event"} <= events[0].keys()


def test_a_setting_of_the_detector_is_used(start: Any) -> None:
    options = (*CAMERA, "--runtime", "onnxruntime", "--no-browser-view", "--frames", "5", "--json")
    seen = []
    for setting in ((), ("-D", "contrast=100")):  # no head has such a rim
        process = start(*options, *setting)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        seen.append(json.loads(out)["cells"])
    assert seen[0] > 0
    assert seen[1] == 0


def test_the_help_lists_what_can_be_set_about_source_and_detector() -> None:
    told = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    assert "Heads in view, on average. [a whole number from 0 to 200]" in told.partition("source simulator, -O:")[2]
    assert "min_coverage=0.6" in told.partition("detector heads, -D:")[2]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_within_two_seconds(start: Any, number: int, tmp_path: Path) -> None:
    process = start(*CAMERA, "--runtime", "onnxruntime", "--no-browser-view", "--log", "l.jsonl")
    wait_for(process, tmp_path / "l.jsonl", "first-result")
    begin = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    took = time.monotonic() - begin
    assert process.returncode == 0, err
    assert took < 2 + 1  # the interpreter's own end on a busy machine included; the loop's is held in test_faults
    assert "capture to result" in err
    assert json.loads((tmp_path / "l.jsonl").read_text().splitlines()[-1])["event"] == "ended"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_after_being_killed_the_log_is_whole_and_a_new_session_starts(start: Any, tmp_path: Path) -> None:
    process = start(*CAMERA, "--runtime", "onnxruntime", "--no-browser-view", "--log", "l.jsonl")
    wait_for(process, tmp_path / "l.jsonl", "first-result")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    for line in (tmp_path / "l.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line)
    again = start(*CAMERA, "--runtime", "onnxruntime", "--no-browser-view", "--frames", "3", "--json")
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert json.loads(out)["results"] == 3


def test_a_second_session_on_the_same_port_ends_in_a_sentence_and_the_first_goes_on(start: Any, tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="the view in a browser needs vsf-edge[live]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    first = start(*CAMERA, "--runtime", "onnxruntime", "--port", port, "--log", "l.jsonl")
    wait_for(first, tmp_path / "l.jsonl", "first-result")
    second = start(*CAMERA, "--runtime", "onnxruntime", "--port", port, "--frames", "3")
    _, err = second.communicate(timeout=60)
    assert second.returncode in (1, 2)
    assert port in err
    assert "Traceback" not in err
    assert first.poll() is None
    first.terminate()
    _, err = first.communicate(timeout=10)
    assert first.returncode == 0, err


def test_a_second_session_into_the_same_recording_ends_in_a_sentence_and_the_first_is_whole(
    start: Any, tmp_path: Path
) -> None:
    pytest.importorskip("zarr", reason="recording needs vsf-edge[record]")
    options = (*CAMERA, "--runtime", "onnxruntime", "--no-browser-view", "--record", "rec")
    first = start(*options, "--log", "l.jsonl")
    wait_for(first, tmp_path / "l.jsonl", "first-result")
    second = start(*options, "--frames", "3")
    _, err = second.communicate(timeout=60)
    assert second.returncode in (1, 2)
    assert err.count("is recording into rec") == 1  # once, as the error that ends it
    assert "Traceback" not in err
    first.terminate()
    _, err = first.communicate(timeout=10)
    assert first.returncode == 0, err
    (folder,) = [path for path in (tmp_path / "rec").iterdir() if path.is_dir() and not path.name.startswith(".")]
    told = subprocess.run(
        [sys.executable, "-m", "vsf_edge", "recording", str(folder)], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def wait_for(process: subprocess.Popen[str], log: Path, event: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if log.exists() and f'"{event}"' in log.read_text(encoding="utf-8"):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"no event {event}")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--source", "simulatr"), "did you mean 'simulator'"),
        (("-O", "widht=10"), "did you mean 'width'"),
        (("-O", "width"), "KEY=VALUE"),
        (("--detector", "hads"), "did you mean 'heads'"),
        (("-D", "contarst=5"), "detector heads has no setting 'contarst'; did you mean 'contrast'?"),
        (("-D", "contrast=high"), "detector heads cannot take contrast=high; allowed is a number"),
        (("-D", "min-coverage=2"), "0.1 to 1"),
        (("-D", "head_length=90"), "detector heads has no setting 'head_length'"),
        (("-D", "contrast"), "-D 'contrast' is not of the form KEY=VALUE"),
        (("--sink", "nothing:x"), "there is no sink 'nothing'"),
        (("--json", "--jsonl", "-"), "give --jsonl a file"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    vsf_edge_live: Callable[..., tuple[int, str]], options: tuple[str, ...], sentence: str
) -> None:
    code, err = vsf_edge_live("--no-browser-view", *options)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_without_a_model_and_without_a_demo_it_says_what_to_do(
    vsf_edge_live: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("vsf_edge.live.assembling.SHIPPED", tmp_path / "none.vsf")
    monkeypatch.chdir(tmp_path)
    code, err = vsf_edge_live("--no-browser-view", model=False)
    assert code == 1
    assert "make demo" in err


@pytest.fixture
def vsf_edge_live(
    live_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    from vsf_edge.cli import main

    def run(*options: str, model: bool = True) -> tuple[int, str]:
        monkeypatch.setenv("VSF_EDGE_CACHE", str(tmp_path / "cache"))
        named = [str(live_model())] if model else []
        monkeypatch.setattr("sys.argv", ["vsf-edge", "live", *named, "--runtime", "onnxruntime", *options])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capsys.readouterr().err

    return run


def test_the_metrics_are_what_happened(make_loop: Callable[..., Any]) -> None:
    loop = make_loop(ScriptedSource(frames(25)), {}, policy="all")
    loop.run()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics_text(loop.statistics))
        for sample in family.samples
    }
    document = loop.statistics.document()
    assert found["vsf_edge_results_total",] == found["vsf_edge_cells_total",] == 25
    assert found["vsf_edge_latency_seconds", "0.5"] == pytest.approx(document["latency"]["p50_ms"] / 1000, rel=0.01)
    assert found["vsf_edge_stage_seconds_count", "stain"] == 25
    assert found["vsf_edge_notices_total", "no-trust-table"] == 1


def test_percentiles_are_right_to_a_per_cent_in_constant_memory() -> None:
    import numpy as np

    from vsf_edge.live.statistics import Durations

    values = np.random.default_rng(0).lognormal(2, 1, 20_000)
    durations = Durations()
    assert math.isnan(durations.percentile(50))
    for value in values.tolist():
        durations.add(value)
    for percent in (50, 95, 99):
        assert durations.percentile(percent) == pytest.approx(np.percentile(values, percent), rel=0.011)


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    from vsf_edge.errors import EdgeError

    with pytest.raises(EdgeError, match="cannot be written"):
        open_log(tmp_path / "none" / "log.jsonl")
    close_log(open_log(tmp_path / "log.jsonl"))
