"""Frames go in, results come out: values, identity, order, policies, modes, controls, and how a session ends."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_doubles import FIELD_PX, PICTURE, KeepingSink, ScriptedSource, a_frame, drawn_frame, frames, script

from vsf_edge.bundle import open_bundle
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.interfaces import Plan
from vsf_edge.live.parallel import ParallelSession
from vsf_edge.runtimes.onnxruntime import OnnxRuntime

MakeLoop = Callable[..., Any]


def test_every_frame_comes_out_in_order_with_its_cells_and_numbers(make_loop: MakeLoop) -> None:
    sink = KeepingSink()
    loop = make_loop(ScriptedSource(frames(20)), {"keep": sink}, policy="all")
    loop.run()
    assert [result.sequence for result in sink.results] == list(range(20))
    assert [result.frame.number for result in sink.results] == list(range(20))
    assert all(len(result.cells) == 1 and not result.problem for result in sink.results)
    cell = sink.results[-1].cells[0]
    assert (cell.track, cell.abstained) == (1, "")
    assert abs(cell.detection.x - 128) < 5
    assert cell.quantities["dfi"].value == pytest.approx(1 / 3, abs=1e-5)
    assert cell.steady["dfi"].frames == 20
    np.testing.assert_allclose(cell.stains[0], 2 * cell.brightfield, rtol=1e-5)
    assert cell.stains.shape == (2, 16, 16)
    assert {"detect", "crop", "stain", "quantify", "track", "wait"} <= sink.results[0].stages_ms.keys()
    assert sum(sink.results[0].stages_ms.values()) == pytest.approx(sink.results[0].latency_ms, rel=0.05)
    assert sink.stopped == 1
    assert loop.statistics.document()["dropped"] == {}


def test_with_latest_the_newest_frame_wins_and_what_is_dropped_is_counted(make_loop: MakeLoop) -> None:
    sink = KeepingSink(every=False, act=lambda result: time.sleep(0.03))
    slow = KeepingSink(act=lambda result: time.sleep(0.02))
    loop = make_loop(ScriptedSource(frames(200, every=0.002)), {"shown": sink, "kept": slow}, waiting_results=2)
    loop.run()
    document = loop.statistics.document()
    assert document["frames_taken"] == 200
    assert document["results"] + document["dropped"].get("behind", 0) == 200
    assert len(sink.results) < document["results"]  # a display that is slow misses some, and nobody calls it a loss
    assert len(slow.results) + document["dropped"].get("sink kept", 0) == document["results"]
    if "sink kept" in document["dropped"]:
        assert any(notice.kind == "result-lost" for notice in sink.notices)
    numbers = [result.frame.number for result in sink.results]
    assert numbers == sorted(numbers)


def test_with_all_a_slow_sink_holds_the_loop_up_and_nothing_is_lost(make_loop: MakeLoop) -> None:
    sink = KeepingSink(act=lambda result: time.sleep(0.005))
    loop = make_loop(ScriptedSource(frames(80)), {"keep": sink}, policy="all", waiting_results=2)
    loop.run()
    assert [result.frame.number for result in sink.results] == list(range(80))
    assert loop.statistics.document()["dropped"] == {}


def test_a_whole_field_is_stained_seamlessly_as_the_network_does_it(make_loop: MakeLoop) -> None:
    sink = KeepingSink()
    picture = drawn_frame([(120, 128), (420, 300)], (400, 560))
    make_loop(ScriptedSource(frames(2, pixels=picture)), {"keep": sink}, mode="field", policy="all").run()
    result = sink.results[-1]
    assert result.problem == ""
    assert result.stains is not None
    assert result.stains.shape == (2, 400, 560)
    assert len(result.cells) == 2
    # tiles are shrunk to the patch of 16 pixels, so only what is coarse comes back; there is no seam in it
    coarse = [plane[::25, ::25] for plane in (result.stains[0], 2.0 * picture)]
    assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.8
    assert np.ptp(result.stains[1] / np.maximum(result.stains[0], 1)) < 1e-3


@pytest.mark.parametrize("cores", [1, 2])
def test_a_network_that_takes_any_size_and_sees_so_far_stains_large_parts(
    make_loop: MakeLoop, live_model: Callable[..., Path], cores: int
) -> None:
    sizes = {"height": None, "width": None, "patch_size": FIELD_PX, "stride": 6, "max_height": 300, "max_width": 300}
    sink = KeepingSink()
    picture = drawn_frame([(120, 128), (420, 300)], (400, 560))
    with open_bundle(live_model(input={**sizes, "halo_px": 12})) as model:
        runtime = OnnxRuntime()
        session = runtime.open(model)
        if cores > 1:
            session = ParallelSession(session, runtime.open(model, Plan(streams=cores, live=True)), cores)
        source = ScriptedSource(frames(2, pixels=picture))
        make_loop(source, {"keep": sink}, model=model, session=session, mode="field", policy="all").run()
    result = sink.results[-1]
    assert result.problem == ""
    assert result.stains is not None
    np.testing.assert_array_equal(result.stains, np.stack([2.0 * picture, 1.0 * picture]))
    assert {"stain", "blend"} <= result.stages_ms.keys()
    assert sum(result.stages_ms.values()) == pytest.approx(result.latency_ms, rel=0.05)
    assert len(result.cells) == 2


def test_a_cell_keeps_its_identity_while_it_swims(make_loop: MakeLoop) -> None:
    def swim() -> Any:
        for number in range(25):
            picture = drawn_frame([(110 + 6 * number, 130), (360 - 6 * number, 330)], (440, 480), seed=number)
            yield a_frame(number, picture, captured=time.monotonic() - 10 + number / 25)

    sink = KeepingSink()
    make_loop(ScriptedSource(swim), {"keep": sink}, policy="all").run()
    tracks = [tuple(cell.track for cell in result.cells) for result in sink.results]
    assert set(tracks) == {(1, 2)}  # reading order: the upper one first
    assert sink.results[-1].cells[0].steady["dfi"].frames == 25


def test_pausing_drops_frames_and_says_so(make_loop: MakeLoop) -> None:
    sink = KeepingSink()
    loop = make_loop(ScriptedSource(frames(10_000, every=0.005)), {"keep": sink})
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert sink.first.wait(5)
    loop.controls.pause(True)
    time.sleep(0.1)
    before = len(sink.results)
    time.sleep(0.2)
    assert len(sink.results) == before
    loop.controls.pause(False)
    time.sleep(0.3)
    loop.stop()
    thread.join(3)
    assert len(sink.results) > before
    assert loop.statistics.document()["dropped"]["paused"] > 10
    assert {notice.kind for notice in sink.notices} >= {"paused", "resumed"}


def test_recording_and_snapshots_start_and_stop_while_frames_go_on(make_loop: MakeLoop) -> None:
    made: list[tuple[Path, KeepingSink]] = []

    def make_recording(folder: Path) -> KeepingSink:
        made.append((folder, KeepingSink()))
        return made[-1][1]

    sink = KeepingSink()
    loop = make_loop(ScriptedSource(frames(10_000, every=0.005)), {"keep": sink}, make_recording=make_recording)
    assert loop.controls.record(True) == "the session has not started yet"
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert sink.first.wait(5)
    assert loop.controls.recording is None
    assert "recording into" in loop.controls.record(True)
    assert "already" in loop.controls.record(True)
    assert loop.controls.recording is not None
    assert made[0][1].first.wait(2)
    assert "saving into" in loop.controls.snapshot()
    assert made[1][1].first.wait(2)
    assert "recorded into" in loop.controls.record(False)
    assert loop.controls.recording is None
    assert loop.controls.record(False) == "nothing is being recorded"
    loop.stop()
    thread.join(3)
    (_, recording), (folder, snapshot) = made
    assert (recording.stopped, snapshot.stopped, len(snapshot.results)) == (1, 1, 1)
    assert folder.parent.name == "snapshots"
    numbers = [result.sequence for result in recording.results]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_it_ends_after_the_frames_or_seconds_asked_for(make_loop: MakeLoop) -> None:
    sink = KeepingSink()
    make_loop(ScriptedSource(frames(500, every=0.002)), {"keep": sink}, frames=7).run()
    assert len(sink.results) == 7
    start = time.monotonic()
    make_loop(ScriptedSource(frames(10_000, every=0.01)), {"keep": KeepingSink()}, seconds=0.4).run()
    assert 0.4 <= time.monotonic() - start < 2.4


def test_pixels_of_another_size_scale_the_squares_or_refuse_the_whole_field(
    make_loop: MakeLoop, live_model: Callable[..., Path]
) -> None:
    with open_bundle(live_model(input={"pixel_size_um": 0.2})) as known:
        sink = KeepingSink()
        source = ScriptedSource(frames(3, pixel_size_um=0.201), frames(3, pixel_size_um=0.1))
        make_loop(source, {"keep": sink}, model=known, policy="all").run()
        assert not [notice for notice in sink.notices if notice.kind == "pixel-size"]
        sink = KeepingSink()
        half = drawn_frame([(256, 256)], (512, 512))
        make_loop(ScriptedSource(frames(3, half, pixel_size_um=0.1)), {"keep": sink}, model=known, policy="all").run()
        (told,) = [notice for notice in sink.notices if notice.kind == "pixel-size"]
        assert f"{2 * FIELD_PX} pixels wide instead of {FIELD_PX}" in told.text
        loop = make_loop(ScriptedSource(frames(3, pixel_size_um=0.1)), {}, model=known, mode="field")
        with pytest.raises(EdgeUsageError, match="--mode cells"):
            loop.run()


def test_a_bundle_of_before_and_a_sink_that_cannot_start_end_it_before_it_begins(
    make_loop: MakeLoop, live_model: Callable[..., Path]
) -> None:
    with (
        open_bundle(live_model(input={"field_px": None})) as old,
        pytest.raises(EdgeUsageError, match="export it again"),
    ):
        make_loop(ScriptedSource(frames(1)), {}, model=old)

    class Broken(KeepingSink):
        def start(self, session: Any) -> None:
            raise EdgeError("the port 8765 is taken: give another --port")

    source = ScriptedSource(frames(1))
    other = KeepingSink()
    with pytest.raises(EdgeError, match="8765 is taken"):
        make_loop(source, {"other": other, "view": Broken()}).run()
    assert (source.opened, other.stopped) == (0, 1)


def test_a_wrong_address_ends_the_session_in_one_sentence(make_loop: MakeLoop) -> None:
    source = ScriptedSource(open_errors={1: EdgeUsageError("there is no file x.cfg")})
    with pytest.raises(EdgeUsageError, match=r"no file x\.cfg"):
        make_loop(source, {"keep": KeepingSink()}).run()


def test_the_sinks_are_told_what_they_look_at(make_loop: MakeLoop, bundle: Any) -> None:
    sink = KeepingSink()
    make_loop(ScriptedSource(script(a_frame(0))), {"keep": sink}).run()
    assert sink.session is not None
    assert (sink.session.bundle_sha256, sink.session.mode) == (bundle.sha256, "cells")
    assert any(notice.kind == "no-trust-table" for notice in sink.notices)
    assert PICTURE is sink.results[0].frame.pixels  # handed on, not copied
    assert len(list(itertools.chain(*[result.cells for result in sink.results]))) == 1
