"""Frames that the camera lost: told at once, then summed up, and loudly where every frame is wanted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from live_doubles import KeepingSink, ScriptedSource, frames, script

from vsf_edge.frames import Notice
from vsf_edge.live.losses import Losses
from vsf_edge.live.notices import Notices


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def told_within(seconds: int, everything: bool, lost_every_second: int = 3) -> list[Notice]:
    """A camera of 10 frames per second that loses some of them each second."""
    told: list[Notice] = []
    notices, clock = Notices(), Clock()
    notices.listen(told.append)
    losses = Losses(notices, everything, clock)
    number = itertools.count()
    for _ in range(seconds):
        for place in range(10 - lost_every_second):
            losses.see(next(number), lost_every_second if place == 0 else 0)
        clock.now += 1
    losses.end()
    return told


def test_whoever_looks_is_told_at_once_and_then_once_a_minute_with_count_and_share() -> None:
    told = told_within(150, everything=False)
    assert {(notice.level, notice.kind) for notice in told} == {("warning", "frame-lost")}
    first, *later = [notice.text for notice in told]
    assert first.startswith("the camera lost 3 frames before number 0: ")
    assert len(later) == 2
    assert later[0].startswith("the camera lost 180 of 600 frames (30.0 %) in the last 60 s: ")


def test_whoever_wants_every_frame_is_told_each_five_seconds_and_of_the_last_ones_too() -> None:
    told = told_within(18, everything=True)
    assert {notice.level for notice in told} == {"error"}
    assert len(told) == 1 + 3 + 1
    counts = [int(notice.text.removeprefix("the camera lost ").split()[0]) for notice in told]
    assert sum(counts) == 3 * 18  # nothing is lost unreported
    assert all("too slow for --policy all" in notice.text for notice in told)


def test_no_loss_is_no_notice_and_one_after_a_long_peace_is_told_at_once() -> None:
    assert told_within(200, everything=True, lost_every_second=0) == []
    told: list[Notice] = []
    notices, clock = Notices(), Clock()
    notices.listen(told.append)
    losses = Losses(notices, False, clock)
    losses.see(1, 1)
    clock.now += 3600
    losses.see(2, 1)
    assert [notice.text.split(" before")[0].split(" (")[0] for notice in told] == [
        "the camera lost 1 frame", "the camera lost 1 of 2 frames",
    ]  # fmt: skip


@pytest.mark.parametrize(("policy", "notices"), [("latest", 1), ("all", 2)])
def test_the_loop_tells_of_them(make_loop: Callable[..., Any], policy: str, notices: int) -> None:
    sink = KeepingSink()
    loop = make_loop(
        ScriptedSource(script(*(frames(2, start=5 * start) for start in range(9)))), {"keep": sink}, policy=policy
    )
    loop.run()
    assert loop.statistics.document()["dropped"]["camera"] == 3 * 8
    assert [notice.kind for notice in sink.notices].count("frame-lost") == notices


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_every_frame_that_was_taken_came_out_or_is_counted(make_loop: Callable[..., Any], policy: str) -> None:
    for wanted in (1, 2, 3, 5):
        loop = make_loop(ScriptedSource(frames(400, every=0.001)), {}, policy=policy, frames=wanted)
        loop.run()
        document = loop.statistics.document()
        assert document["results"] == wanted
        assert document["frames_taken"] == wanted + sum(document["dropped"].values())


def test_a_sink_that_cannot_start_is_told_once(make_loop: Callable[..., Any]) -> None:
    class Broken(KeepingSink):
        def start(self, session: Any) -> None:
            raise RuntimeError("no screen")

    told: list[Notice] = []
    loop = make_loop(ScriptedSource(frames(3)), {"screen": Broken()})
    loop.notices.listen(told.append)
    with pytest.raises(Exception, match=r"^sink 'screen' could not start \(no screen\)$"):
        loop.run()
    assert [notice.kind for notice in told if notice.level == "error"] == []
