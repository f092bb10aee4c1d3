"""Frames on their way to the page: one message each, the newest to whoever waits, made once for all."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import threading
import time
from contextlib import ExitStack
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.live.scripted import REASON, Producer, ScriptedControls, manifest, result, session, viewing
from vsf_edge.frames import Notice
from vsf_edge.sinks.browser import BrowserView
from vsf_edge.web.messages import unpack

SMALL = {"width": 320, "height": 256, "cells": 2.0}


def look(view: BrowserView, **options: Any) -> ClientConnection:
    return connect(view.url.replace("http", "ws") + "frames", **options)


def text_of(kind: str, page: ClientConnection) -> dict[str, Any]:
    while True:
        said = page.recv(timeout=10)
        if isinstance(said, str) and json.loads(said)["type"] == kind:
            found: dict[str, Any] = json.loads(said)
            return found


def frame_of(page: ClientConnection, selected: int | None = None) -> tuple[dict[str, Any], list[bytes]]:
    """Say that the page is ready, and wait for the next frame."""
    page.send(json.dumps({"ready": True, "selected": selected}))
    while True:
        said = page.recv(timeout=10)
        if isinstance(said, bytes):
            return unpack(said)


def painted(view: BrowserView) -> float:
    text = httpx.get(view.url + "metrics").text
    return next(
        float(line.split()[1]) for line in text.splitlines() if line.startswith("vsf_edge_view_paint_seconds_count")
    )


def closing(page: ClientConnection) -> tuple[int, str]:
    """Wait until the page is let go; gives code and reason."""
    try:
        while True:
            page.recv(timeout=10)
    except ConnectionClosed as closed:
        farewell = closed.rcvd
    assert farewell is not None
    return farewell.code, farewell.reason


def test_a_frame_is_one_message_of_numbers_and_pictures() -> None:
    with viewing() as view, look(view) as page:
        hello = text_of("hello", page)
        given = result(7, **SMALL)
        view.take(given)
        header, jpegs = frame_of(page, selected=1)
    assert hello["simulated"]
    assert hello["intended_use"] == "research use only; not for diagnosis"
    assert (header["sequence"], header["size"], header["latency_ms"]) == (
        7,
        [320, 256],
        pytest.approx(given.latency_ms, 1e-4),
    )
    assert [cell["track"] for cell in header["cells"]] == [cell.track for cell in given.cells]
    assert header["cells"][0]["steady"]["dfi"][0] == pytest.approx(given.cells[0].steady["dfi"].value, rel=1e-4)
    assert header["dropped"] == {"camera": 0, "behind": 3}
    shapes = {}
    for picture, content in zip(header["pictures"], jpegs, strict=True):
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        assert decoded.shape[:2] == (picture["height"], picture["width"])
        shapes[picture["name"]] = decoded.shape
    assert shapes["brightfield"] == (256, 320)
    assert shapes["stains"] == (256, 320, 3)
    assert shapes["cell-brightfield"] == (64, 64)
    assert shapes["thumbnails"][1] == 64 * len(given.cells)


def test_an_abstained_cell_says_why_and_has_no_steady_number() -> None:
    with viewing() as view, look(view) as page:
        view.take(result(0))
        header, _ = frame_of(page)
    bad = [cell for cell in header["cells"] if cell["abstained"]]
    assert bad
    assert all(cell["abstained"] == REASON for cell in bad)
    assert all(cell["steady"]["dfi"] == [None, None, None, 0] for cell in bad)


def test_the_newest_frame_goes_to_whoever_comes_back_late() -> None:
    with viewing(fps=60) as view, look(view) as page:
        view.take(result(0, **SMALL))
        assert frame_of(page)[0]["sequence"] == 0
        for sequence in range(1, 40):
            view.take(result(sequence, **SMALL))
        assert frame_of(page)[0]["sequence"] == 39
        assert painted(view) == 2  # nobody waited for the others


def test_nothing_is_painted_for_nobody() -> None:
    controls = ScriptedControls()
    with viewing(controls) as view, Producer(view, controls, fps=50, **SMALL) as producer:
        while producer.given < 10:
            time.sleep(0.02)
        assert painted(view) == 0
        with look(view) as page:
            frame_of(page)
            page.send('{"ready": false}')  # hidden
            time.sleep(0.3)  # one that was begun is finished
            before = painted(view)
            time.sleep(0.3)
            assert painted(view) == before


def test_a_frame_is_painted_once_for_all() -> None:
    controls = ScriptedControls()
    with viewing(controls, fps=20) as view, Producer(view, controls, fps=40, **SMALL), ExitStack() as stack:
        pages = [stack.enter_context(look(view)) for _ in range(8)]
        seen = [[frame_of(page)[0]["sequence"] for page in pages] for _ in range(4)]
        assert painted(view) <= sum(len(set(row)) for row in seen) + 4
        assert all(later[0] > earlier[0] for earlier, later in itertools.pairwise(seen))


def test_not_more_frames_are_shown_than_asked_for() -> None:
    controls = ScriptedControls()
    with viewing(controls, fps=5) as view, Producer(view, controls, fps=40, **SMALL), look(view) as page:
        frame_of(page)
        start = time.monotonic()
        for _ in range(4):
            frame_of(page)
        assert time.monotonic() - start >= 4 * 0.2 - 0.05


def test_another_cell_is_shown_though_no_frame_comes() -> None:
    """While the session is paused, a click still shows the cell's crop, of the same frame."""
    with viewing() as view, look(view) as page:
        view.take(result(3, **SMALL))
        assert all("track" not in picture for picture in frame_of(page)[0]["pictures"])
        header, _ = frame_of(page, selected=2)
        assert header["sequence"] == 3
        assert {picture["track"] for picture in header["pictures"] if "track" in picture} == {2}


def test_a_frame_that_cannot_be_shown_is_told_and_the_next_one_comes() -> None:
    with viewing() as view, look(view) as page:
        text_of("hello", page)
        broken = result(0, **SMALL)
        cell = broken.cells[0]
        object.__setattr__(cell, "stains", np.zeros((0, 0, 0), np.float32))
        page.send('{"ready": true}')
        view.take(broken)
        said = text_of("notice", page)
        assert (said["level"], said["kind"]) == ("error", "view-failed")
        assert "could not be shown" in said["text"]
        view.take(result(1, **SMALL))
        received = page.recv(timeout=10)
        assert isinstance(received, bytes)
        assert unpack(received)[0]["sequence"] == 1


def test_notices_and_controls_of_others_are_told() -> None:
    controls = ScriptedControls()
    with viewing(controls) as view, look(view) as page:
        text_of("hello", page)
        view.notice(Notice(level="warning", kind="source-stalled", text="The camera gives nothing.", time=time.time()))
        assert text_of("notice", page)["text"] == "The camera gives nothing."
        controls.pause(True)
        assert text_of("state", page)["paused"] is True
        with look(view) as other:  # who comes later is told too
            hello = text_of("hello", other)
            assert [notice["kind"] for notice in hello["notices"]] == ["source-stalled"]
            assert hello["state"]["paused"] is True


@pytest.mark.parametrize(
    "said",
    [
        "",
        "7",
        "ready",
        "[]",
        '{"ready": 1}',
        '{"selected": "7"}',
        '{"selected": -1}',
        '{"selected": true}',
        '{"x": 1}',
        "[" * 2000,
    ],
)
def test_a_page_that_talks_nonsense_is_let_go_with_a_sentence(said: str) -> None:
    with viewing() as view, look(view) as page, look(view) as other:
        page.send(said)
        code, reason = closing(page)
        assert (code, reason.startswith("a page may only say")) == (1008, True)
        view.take(result(0, **SMALL))
        assert frame_of(other)[0]["sequence"] == 0


def test_messages_that_are_too_long_or_binary_are_refused() -> None:
    with viewing() as view:
        with look(view) as page:
            page.send(json.dumps({"ready": True, "x": "x" * 5_000}))
            assert closing(page)[0] == 1009
        with look(view) as page:
            page.send(b"\x00" * 16)
            assert closing(page)[0] == 1008
        raw = handshake(view)
        raw.sendall(bytes([0x81, 0xFF]) + (1 << 40).to_bytes(8, "big") + bytes(4))  # a terabyte is announced
        until_clients(view, 0, 3)
        raw.close()


def test_of_fifty_pages_sixteen_look_on_and_the_others_are_told_why() -> None:
    with viewing() as view, ExitStack() as stack:
        view.take(result(0, **SMALL))
        pages = [stack.enter_context(look(view)) for _ in range(50)]
        for page in pages[:16]:
            assert frame_of(page)[0]["sequence"] == 0
        for page in pages[16:]:
            assert closing(page) == (1013, "16 others look on already: close one of them")
        for page in pages:
            page.close()
        until_clients(view, 0, 5)
        with look(view) as page:
            assert frame_of(page)[0]["sequence"] == 0


def test_a_page_that_never_answers_is_let_go_and_holds_nobody_up() -> None:
    controls = ScriptedControls()
    frames = {"fps": 30, **SMALL}
    with viewing(controls, patience=0.6) as view, Producer(view, controls, **frames), look(view) as quick:
        with look(view) as slow:
            frame_of(slow)
            seen = [frame_of(quick)[0]["sequence"] for _ in range(12)]
            code, reason = closing(slow)
            assert (code, reason) == (1008, "nothing was heard of the page for 0.6 s")
            assert seen == sorted(set(seen))
        with look(view) as resting:  # who says so may rest as long as it wants
            frame_of(resting)
            resting.send('{"ready": false}')
            deadline = time.monotonic() + 1.2
            while time.monotonic() < deadline:
                frame_of(quick)
            assert frame_of(resting)[0]["sequence"] > seen[-1]


def handshake(view: BrowserView) -> socket.socket:
    """A bare WebSocket that is ready for a frame and never reads one."""
    host, port = view.url.removeprefix("http://").rstrip("/").split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((host, int(port)))
    raw.sendall(
        f"GET /frames HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert raw.recv(4096).startswith(b"HTTP/1.1 101")
    return raw


def masked(text: bytes) -> bytes:
    return bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text


def clients(view: BrowserView) -> float:
    text = httpx.get(view.url + "metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("vsf_edge_view_clients"))


def until_clients(view: BrowserView, count: int, within: float) -> None:
    deadline = time.monotonic() + within
    while clients(view) != count:
        assert time.monotonic() < deadline, f"{clients(view)} clients, not {count}, after {within} s"
        time.sleep(0.05)


def test_a_page_that_reads_nothing_gives_its_place_back() -> None:
    controls = ScriptedControls()
    with viewing(controls, patience=0.6) as view, Producer(view, controls, fps=30), look(view) as quick:
        raw = handshake(view)
        raw.sendall(masked(b'{"ready": true}') * 3)
        until_clients(view, 2, 2)
        start = time.monotonic()
        while clients(view) != 1:
            frame_of(quick)
            assert time.monotonic() - start < 6
        raw.close()


def test_a_page_that_vanishes_gives_its_place_back() -> None:
    with viewing() as view:
        view.take(result(0, **SMALL))
        raw = handshake(view)
        raw.sendall(masked(b'{"ready": true}'))
        until_clients(view, 1, 2)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no farewell
        raw.close()
        until_clients(view, 0, 3)


def test_the_end_comes_within_a_second_and_is_told() -> None:
    controls = ScriptedControls()
    with viewing(controls) as view, Producer(view, controls, **SMALL), ExitStack() as stack:
        pages = [stack.enter_context(look(view)) for _ in range(4)]
        for page in pages:
            frame_of(page)
            page.send('{"ready": true}')
        reading = threading.Thread(target=lambda: httpx.get(view.url + "stream.mjpg", timeout=20), daemon=True)
        reading.start()
        until_clients(view, 5, 3)
        start = time.monotonic()
        view.stop()
        assert time.monotonic() - start < 1.2
        for page in pages:
            assert closing(page) == (1001, "the session has ended")
        with pytest.raises(OSError), look(view):
            pass


def test_the_whole_field_of_sixteen_bits_is_shown_smaller() -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (700, 1500)).astype(np.uint16)
    given = result(0, **SMALL)
    frame = type(given.frame)(pixels=pixels, number=0, captured=time.monotonic(), time=0.0, bit_depth=12)
    whole = result(0, **SMALL, frame=frame, stains=np.full((2, 700, 1500), 30, np.float32))
    with viewing(side=400, live=session(mode="field")) as view, look(view) as page:
        view.take(whole)
        header, _ = frame_of(page)
    assert header["reduced"] == 4
    assert [(picture["width"], picture["height"]) for picture in header["pictures"][:2]] == [(375, 175)] * 2
    assert header["cells"][0]["x"] == pytest.approx((given.cells[0].detection.x + 0.5) / 4 - 0.5, abs=0.06)


def test_one_stain_or_five_and_no_quantity_are_shown_too() -> None:
    from vsf_edge.manifest import Stain

    for count in (1, 5):
        stains = tuple(Stain(name=f"stain{index}", full_scale=255.0) for index in range(count))
        live = session(manifest=manifest(stains=stains, quantities=()))
        given = result(0, **SMALL)
        for cell in given.cells:
            object.__setattr__(cell, "stains", np.ones((count, 64, 64), np.float32))
            object.__setattr__(cell, "steady", {})
        with viewing(live=live) as view, look(view) as page:
            view.take(given)
            header, _ = frame_of(page, selected=1)
            assert len(header["levels"]["stains"]) == min(count, 3)
            assert header["distributions"] == {}
            assert httpx.get(view.url + "snapshot").content.startswith(b"\xff\xd8")
