"""What goes wrong beside a microscope, against the real loop: afterwards the session goes on, or ends in a sentence."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from live_doubles import KeepingSink, ScriptedSource, a_frame, drawn_frame, frames, script

from vsf_edge.bundle import Bundle
from vsf_edge.errors import CorruptFrameError, EdgeError
from vsf_edge.runtimes.onnxruntime import OnnxRuntime

MakeLoop = Callable[..., Any]
WIDE = drawn_frame([(200, 128)], (256, 400))


def kinds(sink: KeepingSink) -> list[str]:
    return [notice.kind for notice in sink.notices]


def run(make_loop: MakeLoop, source: ScriptedSource, **settings: Any) -> tuple[KeepingSink, dict[str, Any]]:
    sink = KeepingSink()
    loop = make_loop(source, {"keep": sink}, **{"policy": "all", **settings})
    loop.run()
    assert sink.stopped == 1
    assert source.closed >= source.opened
    return sink, loop.statistics.document()


def test_a_camera_that_is_unplugged_comes_back(make_loop: MakeLoop) -> None:
    gone = EdgeError("the camera is gone")
    source = ScriptedSource(
        script(frames(5), gone), frames(5, start=100), open_errors={2: gone, 3: EdgeError("no camera"), 4: gone}
    )
    sink, _ = run(make_loop, source)
    assert [result.frame.number for result in sink.results] == [*range(5), *range(100, 105)]
    assert [result.sequence for result in sink.results] == list(range(10))
    assert [kind for kind in kinds(sink) if kind.startswith("source")] == ["source-lost", "source-back"]
    waited = np.diff(source.open_times)[1:]  # after the failures to open: 0.2, then 0.4, which is the longest here
    assert source.opened == 5
    np.testing.assert_allclose(waited, [0.2, 0.4, 0.4], atol=0.15)


def test_a_camera_that_stalls_is_opened_again(make_loop: MakeLoop) -> None:
    source = ScriptedSource(script(frames(3), 60.0), frames(3, start=50))
    sink, _ = run(make_loop, source)
    assert [result.frame.number for result in sink.results] == [0, 1, 2, 50, 51, 52]
    assert kinds(sink).index("source-stalled") < kinds(sink).index("source-back")


def test_files_that_come_slowly_are_waited_for(make_loop: MakeLoop) -> None:
    source = ScriptedSource(script(frames(3), 0.7, frames(3, start=3)))
    source.live = False
    sink, _ = run(make_loop, source)
    assert len(sink.results) == 6
    assert "source-idle" in kinds(sink)
    assert source.opened == 1


@pytest.mark.parametrize(("patience", "told"), [(0.1, True), (60.0, False)])
def test_a_microscope_may_take_long_to_open(make_loop: MakeLoop, patience: float, told: bool) -> None:
    source = ScriptedSource(frames(2))
    opened = source.open
    source.open = lambda: (time.sleep(0.6), opened())[1]  # type: ignore[method-assign]
    sink = KeepingSink()
    make_loop(source, {"keep": sink}, stall_s=0.1, last_retry_s=0.1, opening_s=patience, policy="all").run()
    assert len(sink.results) == 2
    texts = [notice.text for notice in sink.notices if notice.kind == "source-hangs"]
    assert bool(texts) is told
    assert all("is still being opened after" in text for text in texts)


def test_a_source_whose_call_never_returns_is_told_of_and_does_not_hold_up_the_end(make_loop: MakeLoop) -> None:
    source = ScriptedSource(frames(1))
    hang = threading.Event()
    source.read = lambda timeout: hang.wait(30)  # type: ignore[method-assign, assignment, return-value]
    sink = KeepingSink()
    loop = make_loop(source, {"keep": sink}, stall_s=0.1, last_retry_s=0.1)
    thread = threading.Thread(target=loop.run)
    thread.start()
    time.sleep(0.6)
    start = time.monotonic()
    loop.stop()
    thread.join(3)
    assert time.monotonic() - start < 2
    assert not thread.is_alive()
    assert "source-hangs" in kinds(sink)
    hang.set()


def test_exposure_size_and_clock_may_change_while_it_runs(
    make_loop: MakeLoop,
) -> None:
    later = time.time() + 3600
    source = ScriptedSource(
        script(
            frames(3, metadata={"Exposure-ms": 10.0}),
            frames(3, start=3, metadata={"Exposure-ms": 20.0}),
            frames(3, WIDE, start=6, metadata={"Exposure-ms": 20.0}),
            frames(3, WIDE, start=9, metadata={"Exposure-ms": 20.0}, time=later),
        )
    )
    sink, document = run(make_loop, source)
    assert len(sink.results) == 12
    assert not any(result.problem for result in sink.results)
    assert {"exposure-changed", "size-changed", "clock-jumped"} <= set(kinds(sink))
    assert sink.results[0].cells[0].track != sink.results[-1].cells[0].track  # places mean something else now
    assert document["latency"]["max_ms"] < 5000  # no latency comes from the wall clock
    text = next(notice.text for notice in sink.notices if notice.kind == "size-changed")
    assert "400x256" in text


def test_another_bit_depth_is_shown_and_recorded_but_gets_no_number(make_loop: MakeLoop) -> None:
    deep = (drawn_frame().astype(np.uint16) * 16).astype(np.uint16)
    sink, document = run(make_loop, ScriptedSource(script(frames(2), frames(2, deep, start=2, bit_depth=12))))
    good, deep_one = sink.results[0], sink.results[-1]
    assert good.problem == ""
    assert "12 bits" in deep_one.problem
    assert deep_one.frame.pixels is deep
    (cell,) = deep_one.cells
    assert "12 bits" in cell.abstained
    assert np.isnan(cell.quantities["dfi"].value)
    assert not cell.stains.any()
    assert "bit-depth-changed" in kinds(sink)
    assert document["not_stained"] == 2


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_saturated_frames_have_no_cells(make_loop: MakeLoop, level: int) -> None:
    blank = np.full((256, 256), level, np.uint8)
    sink, _ = run(make_loop, ScriptedSource(script(frames(2), frames(2, blank, start=2), frames(2, start=4))))
    assert [len(result.cells) for result in sink.results] == [1, 1, 0, 0, 1, 1]
    assert not any(result.problem for result in sink.results)


def test_corrupt_frames_are_counted_and_too_many_open_the_source_again(make_loop: MakeLoop) -> None:
    bad = CorruptFrameError("img_0004.tif is cut off")
    colour = a_frame(9, np.zeros((8, 8, 3), np.uint8))
    floats = a_frame(10, np.zeros((8, 8), np.float32))  # type: ignore[arg-type]
    source = ScriptedSource(
        script(frames(2), bad, colour, floats, frames(2, start=2), lambda: itertools.repeat(bad, 30)),
        frames(2, start=20),
    )
    sink, document = run(make_loop, source)
    assert [result.frame.number for result in sink.results] == [0, 1, 2, 3, 20, 21]
    assert document["dropped"]["corrupt"] == 23
    assert source.opened == 2
    assert "frame-corrupt" in kinds(sink)


def test_frames_that_the_camera_lost_are_an_error_where_every_one_is_wanted(make_loop: MakeLoop) -> None:
    steps = script(frames(3), frames(3, start=10))
    sink, document = run(make_loop, ScriptedSource(steps))
    assert document["dropped"] == {"camera": 7}
    assert [notice.level for notice in sink.notices if notice.kind == "frame-lost"] == ["error"]
    sink, _ = run(make_loop, ScriptedSource(steps), policy="latest")
    assert [notice.level for notice in sink.notices if notice.kind == "frame-lost"] == ["warning"]


class FailingSession:
    """A runtime that fails for some calls, or on more than so many patches."""

    def __init__(self, bundle: Bundle, fails: Callable[[int], bool] = lambda call: False, most: int = 1000) -> None:
        self._session = OnnxRuntime().open(bundle)
        self._fails, self._most = fails, most
        self.calls = 0
        self.sizes: list[int] = []

    def run(self, brightfield: Any) -> Mapping[str, Any]:
        self.calls += 1
        if self._fails(self.calls):
            raise RuntimeError("CUDA error 700: an illegal memory access was encountered")
        if len(brightfield) > self._most:
            raise RuntimeError("CUDA out of memory")
        self.sizes.append(len(brightfield))
        return self._session.run(brightfield)


def test_a_runtime_that_fails_is_opened_again_and_frames_go_on_unstained(make_loop: MakeLoop, bundle: Bundle) -> None:
    session = FailingSession(bundle, fails=lambda call: call > 3)
    reopened: list[float] = []

    def reopen() -> Any:
        reopened.append(time.monotonic())
        if len(reopened) < 3:
            raise EdgeError("no device")
        return OnnxRuntime().open(bundle)

    sink, document = run(make_loop, ScriptedSource(frames(60, every=0.02)), session=session, reopen=reopen)
    problems = [bool(result.problem) for result in sink.results]
    assert problems[:3] == [False] * 3
    assert problems[3:8] == [True] * 5
    assert problems[-3:] == [False] * 3
    assert len(sink.results) == 60
    broken = sink.results[4].cells[0]
    assert "runtime" in broken.abstained
    assert np.isnan(broken.quantities["dfi"].value)
    assert broken.steady["dfi"].frames == 3  # the good frames of before
    assert {"runtime-failed", "runtime-back"} <= set(kinds(sink))
    assert document["not_stained"] == sum(problems)


def test_a_card_whose_memory_is_full_gets_smaller_batches(make_loop: MakeLoop, bundle: Bundle) -> None:
    picture = drawn_frame([(x, y) for y in (90, 230) for x in (90, 260, 430)], (330, 520))
    session = FailingSession(bundle, most=2)
    sink, _ = run(make_loop, ScriptedSource(frames(5, picture)), session=session)
    assert all(len(result.cells) == 6 and not result.problem for result in sink.results)
    assert max(session.sizes) <= 2
    assert kinds(sink).count("smaller-batches") == 1
    assert session.calls <= 5 * 6 + 3  # tried large once, not with every frame


def test_a_gate_or_a_detector_that_fails_takes_the_numbers_and_not_the_session(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsf_edge.detectors.heads import Heads

    real = Heads.detect
    calls = itertools.count()

    def sometimes(self: Heads, frame: Any) -> Any:
        if next(calls) in (2, 3):
            raise ZeroDivisionError("float division by zero")
        return real(self, frame)

    monkeypatch.setattr(Heads, "detect", sometimes)
    sink, _ = run(make_loop, ScriptedSource(frames(6)))
    assert [bool(result.problem) for result in sink.results] == [False, False, True, True, False, False]
    assert "detector-failed" in kinds(sink)


def test_a_slow_sink_loses_results_loudly_and_slows_nobody(make_loop: MakeLoop) -> None:
    slow, quick = KeepingSink(act=lambda result: time.sleep(0.1)), KeepingSink(every=False)
    loop = make_loop(ScriptedSource(frames(100, every=0.01)), {"disk": slow, "view": quick}, waiting_results=2)
    start = time.monotonic()
    loop.run()
    assert time.monotonic() - start < 4
    document = loop.statistics.document()
    assert document["dropped"]["sink disk"] > 10
    assert len(slow.results) + document["dropped"]["sink disk"] == document["results"]
    assert "result-lost" in kinds(quick)


def test_a_full_disk_is_told_of_and_the_others_go_on(make_loop: MakeLoop) -> None:
    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    disk, view = KeepingSink(act=full), KeepingSink()
    loop = make_loop(ScriptedSource(frames(30)), {"disk": disk, "view": view}, policy="all")
    loop.run()
    assert len(view.results) == 30
    assert loop.statistics.document()["dropped"]["sink disk"] == 30
    told = [notice for notice in view.notices if notice.kind == "sink-failed"]
    assert len(told) == 1  # the same thing is not said thirty times
    assert "No space left" in told[0].text
    assert disk.stopped == 1


def test_a_sink_that_does_not_stop_is_left_and_the_session_ends_within_two_seconds(make_loop: MakeLoop) -> None:
    hang = threading.Event()
    stuck = KeepingSink(act=lambda result: hang.wait(30) and None)
    sink = KeepingSink()
    loop = make_loop(ScriptedSource(frames(10_000, every=0.005)), {"stuck": stuck, "keep": sink})
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert sink.first.wait(5)
    start = time.monotonic()
    loop.stop()
    thread.join(3)
    assert time.monotonic() - start < 2.2
    assert not thread.is_alive()
    assert sink.stopped == 1
    hang.set()


def test_stopping_under_load_takes_under_two_seconds_and_closes_everything(make_loop: MakeLoop) -> None:
    def endless() -> Iterator[Any]:
        for number in itertools.count():
            yield a_frame(number)

    for policy in ("latest", "all"):
        source, sink = ScriptedSource(endless), KeepingSink(act=lambda result: time.sleep(0.01))
        loop = make_loop(source, {"keep": sink}, policy=policy)
        thread = threading.Thread(target=loop.run)
        thread.start()
        assert sink.first.wait(5)
        time.sleep(0.2)
        start = time.monotonic()
        loop.stop()
        thread.join(3)
        assert time.monotonic() - start < 2
        assert (sink.stopped, source.closed >= 1) == (1, True)
        document = loop.statistics.document()
        assert (
            document["results"] + sum(document["dropped"].get(reason, 0) for reason in ("behind", "stopped"))
            >= document["frames_taken"] - 3
        )  # up to three were being worked on
