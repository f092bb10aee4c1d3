"""`jsonl` and `callback`: what the program of an instrument gets."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.recording.made import make_cell, make_result
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import FrameResult, LiveSession, Notice, Readout
from vsf_edge.plugins import plugins
from vsf_edge.sinks.callback import Callback
from vsf_edge.sinks.jsonl import JsonLines

Make = Callable[..., LiveSession]
SEEN: list[FrameResult] = []


def test_a_line_per_cell_with_null_where_a_number_must_not_be_used(session: Make, tmp_path: Path) -> None:
    sink = plugins().find("sink", "jsonl").create(str(tmp_path / "new" / "cells.jsonl"))
    sink.start(session())
    sink.take(make_result(0, cells=3))
    sink.take(make_result(1, cells=0, problem="the runtime failed"))
    sink.notice(Notice(level="warning", kind="source-stalled", text="The camera is silent.", time=5.0))
    lines = [json.loads(line) for line in (tmp_path / "new" / "cells.jsonl").read_text().splitlines()]
    sink.stop()
    assert [line["type"] for line in lines] == ["cell", "cell", "cell", "problem", "notice"]
    good, bad = lines[0], lines[1]
    assert (good["track"], good["sequence"], good["abstained"]) == (1, 0, None)
    assert good["quantities"]["dfi"] == {"value": 0.26, "low": 0.2, "high": 0.3}
    assert bad["abstained"] == "out of focus"
    assert bad["quantities"]["dfi"] == {"value": None, "low": None, "high": None}
    assert bad["steady"]["dfi"] == {"value": 0.26, "low": 0.24, "high": 0.28, "frames": 1}
    assert lines[3]["text"] == "the runtime failed"


def test_a_value_without_an_interval_is_valid_json(session: Make, capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLines()
    sink.start(session())
    cell = replace(make_cell(0, 1), quantities={"dfi": Readout(value=0.5, low=math.nan, high=math.nan, frames=1)})
    sink.take(replace(make_result(0), cells=(cell,)))
    sink.stop()
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["quantities"]["dfi"] == {"value": 0.5, "low": None, "high": None}


def test_a_file_that_cannot_be_written_is_one_sentence(session: Make, tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match="cannot be written"):
        JsonLines(str(tmp_path)).start(session())


def test_a_reader_that_is_gone_is_one_sentence(session: Make) -> None:
    sink = JsonLines("/dev/full")
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    sink.start(session())
    with pytest.raises(EdgeError, match="is its reader there, and room on the disk"):
        sink.take(make_result(0))
    with pytest.raises(OSError):
        sink.stop()


def see(result: FrameResult) -> None:
    SEEN.append(result)
    if result.sequence == 1:
        raise ValueError("no such slide")


def test_the_function_gets_every_result_itself(session: Make) -> None:
    SEEN.clear()
    sink = plugins().find("sink", "callback").create("tests.recording.test_line_sinks:see")
    sink.start(session())
    first, second = make_result(0), make_result(1)
    sink.take(first)
    with pytest.raises(EdgeError, match="failed on frame 1: ValueError: no such slide"):
        sink.take(second)
    sink.stop()
    from tests.recording import test_line_sinks

    assert [id(result) for result in test_line_sinks.SEEN] == [id(first), id(second)]
    assert sink.every


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "names no function"),
        ("json", "names no function"),
        ("no_such_module:function", "on PYTHONPATH"),
        ("json:no_such_function", "cannot be loaded"),
        ("json:__name__", "is no function"),
    ],
)
def test_a_wrong_address_is_wrong_use(address: str, says: str) -> None:
    with pytest.raises(EdgeUsageError, match=says):
        Callback(address)


def test_a_slow_function_may_ask_for_the_newest_only() -> None:
    assert not Callback("json:dumps", every="no").every
