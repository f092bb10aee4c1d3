"""The live page open in a real Chromium, on a session of known frames."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chromium import Chromium, Tab
from tests.live.scripted import Producer, ScriptedControls, result, viewing
from vsf_edge.sinks.browser import BrowserView

SCENE = {"width": 640, "height": 640, "cells": 5.0}
ABSTAINED, GOOD = 4, 1
"""Tracks of a cell without and of one with a number."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


class Desk:
    """A session with frames, and the page open on it."""

    def __init__(self, tab: Tab, view: BrowserView, controls: ScriptedControls) -> None:
        self.tab, self.view, self.controls = tab, view, controls

    def place(self, track: int) -> tuple[float, float]:
        """Where a cell of the brightfield lies on the screen."""
        found = next(cell.detection for cell in result(0, still=True, **SCENE).cells if cell.track == track)
        box = self.tab.value(
            "(({left, top, width}) => [left, top, width])(document.querySelector('#brightfield .stage')"
            ".getBoundingClientRect())"
        )
        zoom = box[2] / SCENE["width"]
        return box[0] + (found.x + 0.5) * zoom, box[1] + (found.y + 0.5) * zoom


@pytest.fixture
def desk(tab: Tab) -> Iterator[Desk]:
    controls = ScriptedControls()
    tab.screen(1366, 768)
    with viewing(controls) as view, Producer(view, controls, 8, still=True, **SCENE):
        tab.requests.clear()
        tab.complaints.clear()
        tab.open(view.url)
        tab.until(f"document.querySelectorAll('#cells [role=option]').length >= {ABSTAINED}")
        tab.until("document.querySelector('#link').textContent === 'Live'")
        yield Desk(tab, view, controls)
        # the tests read canvases back themselves
        assert [complaint for complaint in tab.complaints if "willReadFrequently" not in complaint] == []
        own = view.url.removeprefix("http")
        assert all(asked.startswith((f"http{own}", f"ws{own}")) for asked in tab.requests), tab.requests
        tab.open("about:blank")
