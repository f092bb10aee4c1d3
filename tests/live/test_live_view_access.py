"""Who may look on: this computer, or whoever knows the token; no page of somebody else, and nothing from elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import vsf_edge.web
from tests.live.scripted import Producer, ScriptedControls, result, session, viewing
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.frames import Notice
from vsf_edge.settings import describe_settings
from vsf_edge.sinks.browser import BrowserSettings, BrowserView, parse_address

TOKEN = "a-token-of-the-laboratory"
PAGE = Path(vsf_edge.web.__file__).parent / "page"


@pytest.fixture
def guarded() -> Iterator[str]:
    """The address of a view that asks for a token, without the token."""
    with viewing(token=TOKEN) as view:
        view.take(result(0, width=320, height=256, cells=2.0))
        assert view.url.endswith(f"/#token={TOKEN}")
        yield view.url.partition("#")[0]


@pytest.fixture
def controls() -> ScriptedControls:
    return ScriptedControls()


@pytest.fixture
def url(controls: ScriptedControls) -> Iterator[str]:
    with viewing(controls) as view:
        view.take(result(0, width=320, height=256, cells=2.0))
        yield view.url


def as_socket(url: str) -> str:
    return url.replace("http", "ws") + "frames"


def test_without_the_token_nothing_is_told(guarded: str) -> None:
    for path in ("healthz", "metrics", "snapshot", "stream.mjpg", "nothing-here"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Cookie": "x=y"}):
            answer = httpx.get(guarded + path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.json() == {"error": "the token is missing or wrong: vsf-edge printed it when it started"}
    assert httpx.post(guarded + "pause", data={"on": "true"}).status_code == 401
    with pytest.raises(InvalidStatus) as refused, connect(as_socket(guarded)):
        pass
    assert refused.value.response.status_code == 401


def test_with_the_token_as_bearer_everything_works(guarded: str) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(guarded + "healthz", headers=bearer).json()["status"] == "ok"
    with connect(as_socket(guarded), additional_headers=bearer) as page:
        assert "hello" in str(page.recv(timeout=5))


def test_the_form_gives_a_cookie_that_does_not_hold_the_token(guarded: str) -> None:
    with httpx.Client(base_url=guarded, follow_redirects=True) as browser:
        assert "Token" in browser.get("/").text
        start = time.monotonic()
        wrong = browser.post("/login", data={"token": "guessed-guessed-guessed"})
        assert (wrong.status_code, "This token is wrong" in wrong.text) == (401, True)
        assert time.monotonic() - start >= 0.5
        assert 'id="brightfield"' in browser.post("/login", data={"token": TOKEN}).text
        (cookie,) = browser.cookies.jar
        assert TOKEN not in str(cookie.value)
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "strict"
        assert browser.get("/healthz").status_code == 200


def test_the_token_stands_in_no_address(guarded: str) -> None:
    """A link with the token as a query does not open anything: it would stay in the history and in logs."""
    assert httpx.get(guarded + "healthz", params={"token": TOKEN}).status_code == 401


def test_other_computers_need_a_token_that_is_made_and_printed() -> None:
    told: list[str] = []
    view = BrowserView("0.0.0.0:0", announce=told.append)
    view.start(session())
    try:
        token = re.fullmatch(r"live view: http://[^/]+:(\d+)/#token=(\S{32,})", told[0])
        assert token, told
        address = f"http://127.0.0.1:{token[1]}/healthz"
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, headers={"Authorization": f"Bearer {token[2]}"}).status_code == 200
        rebound = {"Host": "attacker.example", "Authorization": f"Bearer {token[2]}"}
        assert httpx.get(address, headers=rebound).status_code == 421
    finally:
        view.stop()


def test_a_short_token_is_refused() -> None:
    with pytest.raises(EdgeUsageError, match="the token has 6 characters: give at least 16, or none"):
        BrowserView("127.0.0.1:0", token="secret").start(session())


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8765", "10.0.0.7", "", "127.0.0.1.nip.io", "[::1"]
)
def test_a_name_that_was_made_to_point_here_is_refused(url: str, host: str) -> None:
    for path in ("", "snapshot", "page/main.js"):
        answer = httpx.get(url + path, headers={"Host": host})
        assert answer.status_code in (400, 421)
    with pytest.raises(InvalidStatus), connect(as_socket(url), additional_headers={"Host": host}):
        pass


def test_a_forwarded_port_and_a_name_that_was_set_are_let_in(url: str) -> None:
    for host in ("localhost:9000", "127.0.0.1:80", "[::1]:8765", "localhost"):
        assert httpx.get(url, headers={"Host": host}).status_code == 200
    with viewing(names="scope.lab.org, other") as view:
        assert httpx.get(view.url, headers={"Host": "Scope.lab.org"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://attacker.example", "null", "http://127.0.0.1:1", "https://localhost", "x"])
def test_the_page_of_another_origin_may_neither_look_nor_ask(url: str, controls: ScriptedControls, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(as_socket(url), additional_headers={"Origin": origin}):
        pass
    assert refused.value.response.status_code == 403
    for path in ("pause", "record", "snapshot", "login"):
        answer = httpx.post(url + path, data={"on": "true"}, headers={"Origin": origin})
        assert (answer.status_code, "may not use" in answer.json()["error"]) == (403, True)
    assert controls.asked == []


def test_a_browser_that_says_another_site_asks_is_refused(url: str, controls: ScriptedControls) -> None:
    answer = httpx.post(url + "pause", data={"on": "true"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert controls.asked == []


def test_the_own_origin_may_ask(url: str, controls: ScriptedControls) -> None:
    own = {"Origin": url.rstrip("/")}
    assert httpx.post(url + "pause", data={"on": "true"}, headers=own).json() == {
        "text": "Paused: frames are taken and dropped.",
        "paused": True,
        "recording": None,
    }
    assert httpx.post(url + "record", data={"on": "true"}, headers=own).json()["text"].startswith("Recording into")
    assert httpx.post(url + "snapshot", headers=own).json()["text"] == "Saved as recordings/snapshot-1."
    assert controls.asked == ["pause True", "record True", "snapshot"]
    with connect(as_socket(url), origin=url.rstrip("/")) as page:  # type: ignore[arg-type]
        page.recv(timeout=5)


def test_a_form_without_javascript_comes_back_to_the_page(url: str, controls: ScriptedControls) -> None:
    answer = httpx.post(url + "pause", data={"on": "true"}, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert controls.paused


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"on=perhaps", 400), (b"\xff\xfe", 400), (b"on=true&" * 20, 400), (b"x" * 5000, 413)],
)
def test_nonsense_is_refused_with_a_sentence(url: str, controls: ScriptedControls, content: bytes, status: int) -> None:
    answer = httpx.post(url + "pause", content=content)
    assert answer.status_code == status
    assert len(answer.json()["error"]) > 10
    assert controls.asked == []


@pytest.mark.parametrize(
    "path", ["page/../app.py", "page/%2e%2e/app.py", "page//etc/passwd", "page/..%5capp.py", "app.py"]
)
def test_only_the_files_of_the_page_are_given(url: str, path: str) -> None:
    with httpx.Client() as browser:
        request = browser.build_request("GET", url)
        request.url = httpx.URL(url).copy_with(raw_path=b"/" + path.encode())
        assert browser.send(request).status_code == 404


def test_every_answer_forbids_to_load_from_elsewhere(url: str) -> None:
    for path in ("", "login", "page/main.js", "healthz", "snapshot"):
        headers = httpx.get(url + path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in policy
    assert httpx.get(url + "page/main.js").headers["content-type"].startswith("text/javascript")


def test_the_files_name_no_other_place() -> None:
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|style=\"|onclick=\"|<script>", text), file.name


def test_the_same_port_twice_is_one_sentence() -> None:
    with viewing() as view:
        port = int(view.url.rstrip("/").rsplit(":", 1)[1])
        second = BrowserView(f"127.0.0.1:{port}")
        with pytest.raises(
            EdgeError, match=rf"port {port} of 127.0.0.1 cannot be used \(.*in use.*\): stop what"
        ) as error:
            second.start(session())
        assert error.value.exit_code == 1
        second.stop()


@pytest.mark.parametrize("address", ["x:y", "127.0.0.1:70000", "::1", "1.2.3.4:-1", "[::1"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(EdgeUsageError, match="is no address"):
        parse_address(address)


def test_addresses() -> None:
    assert parse_address("") == ("127.0.0.1", 8765)
    assert parse_address(":0") == ("127.0.0.1", 0)
    assert parse_address("0.0.0.0") == ("0.0.0.0", 8765)
    assert parse_address("[::1]:90") == ("::1", 90)
    with pytest.raises(EdgeUsageError, match="is no address to listen on"):
        BrowserView("203.0.113.256:1").start(session())


def test_settings_are_checked() -> None:
    with pytest.raises(EdgeUsageError, match="did you mean 'clients'"):
        BrowserView(client=3)
    with pytest.raises(EdgeUsageError, match="low < high"):
        BrowserView(low="1", high="0.5")


def test_health_says_why() -> None:
    controls = ScriptedControls()
    with viewing(controls) as view:
        small = {"width": 320, "height": 256, "cells": 2.0}

        def health() -> tuple[int, dict[str, str]]:
            answer = httpx.get(view.url + "healthz")
            return answer.status_code, answer.json()

        view.take(result(0, **small))
        assert health() == (200, {"status": "ok", "why": ""})
        text = "The camera gives nothing: look at its cable."
        view.notice(Notice(level="warning", kind="source-stalled", text=text, time=time.time()))
        assert health() == (503, {"status": "degraded", "why": text})
        view.notice(Notice(level="info", kind="source-back", text="It is back.", time=time.time()))
        assert health()[0] == 200
        view.take(result(1, **small, problem="the runtime failed"))
        assert health() == (503, {"status": "degraded", "why": "the runtime failed"})
        view.take(result(2, **small))
        view.notice(Notice(level="error", kind="sink-failed", text="The disk is full.", time=time.time()))
        assert health() == (503, {"status": "degraded", "why": "The disk is full."})
        controls.pause(True)
        assert health() == (200, {"status": "ok", "why": "paused"})


def test_the_stream_without_javascript_shows_annotated_frames(controls: ScriptedControls) -> None:
    with viewing(controls) as view, Producer(view, controls, width=320, height=256, cells=2.0):
        content = b""
        with httpx.stream("GET", view.url + "stream.mjpg", timeout=10) as answer:
            assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=vsf-frame"
            for chunk in answer.iter_raw():
                content += chunk
                if content.count(b"--vsf-frame") >= 4:
                    break
        head, _, rest = content.partition(b"\r\n\r\n")
        length = int(head.rsplit(b"Content-Length: ", 1)[1])
        picture = cv2.imdecode(np.frombuffer(rest[:length], np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (256 + 2 * 22 + 8, 640, 3)
        left, right = picture[:256, :320], picture[:256, 320:]
        assert (left.max(axis=2).astype(int) - left.min(axis=2)).max() > 60  # an outline has a colour
        assert right[..., 1].max() > 100
        assert httpx.get(view.url + "snapshot").headers["content-type"] == "image/jpeg"


def test_before_the_first_frame_there_is_no_picture() -> None:
    with viewing() as view:
        answer = httpx.get(view.url + "snapshot")
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("there is no frame yet")


def test_the_settings_are_documented_as_they_are() -> None:
    text = (Path(__file__).parents[2] / "docs" / "live-view.md").read_text(encoding="utf-8")
    for item in describe_settings(BrowserSettings):
        default = f"`{item.default}`" if item.default else ""
        assert f"| `{item.name}` | {default} | {item.allowed} | {item.text} |" in text
