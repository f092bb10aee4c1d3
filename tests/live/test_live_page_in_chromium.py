"""The live page as people use it: real Chromium, mouse, keyboard and finger, light and dark, desk and tablet."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.chromium import CHROMIUM, Tab
from tests.live.desk import ABSTAINED, GOOD, SCENE, Desk
from tests.live.scripted import REASON, Producer, ScriptedControls, manifest, result, session, viewing
from vsf_edge.frames import Notice, Readout
from vsf_edge.manifest import Quantity

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package: chromium)")

OVERFLOWING = """
[...document.querySelectorAll('#app *')].filter(element => {
  const style = getComputedStyle(element);
  return element.closest('svg, .unseen') === null && style.display !== 'inline' && style.overflowX === 'visible'
    && element.clientWidth && element.scrollWidth > element.clientWidth + 1;
}).map(element => element.id || element.className)
"""


def test_it_shows_frames_numbers_and_how_the_session_runs(desk: Desk) -> None:
    tab = desk.tab
    meters = tab.until("document.querySelector('#meters').textContent")
    for word in ("Frame", "Stained", "Shown", "Latency", "stain 18", "Queues", "results 1", "Lost", "behind 3"):
        assert word in meters
    first = int(tab.text("#meters dd"))
    tab.until(f"Number(document.querySelector('#meters dd').textContent) > {first + 5}")
    assert tab.text("#use").strip() == (
        "Trained on simulated cells: its numbers do not hold for real ones. Research use only; not for diagnosis."
    )
    value = result(0, **SCENE).cells[GOOD - 1].steady["dfi"].value
    assert tab.text(f"#cell-{GOOD} .value") == f"{value:.2f}"
    assert tab.text(f"#cell-{ABSTAINED} .value") == "?"
    assert tab.text(f"#cell-{ABSTAINED} .why") == REASON
    assert "median" in tab.text("#spread-text")
    assert tab.value("document.querySelectorAll('#histogram rect').length") == 20


def test_outlines_are_coloured_and_abstained_ones_dashed(desk: Desk, tmp_path: Path) -> None:
    """Read from the canvas: of a good cell nearly every point of the outline is coloured, of the other half is grey."""
    script = """
    (track => {
      const [canvas, picture] = ['.marks', '.picture'].map(name => document.querySelector('#brightfield ' + name));
      const zoom = canvas.width / picture.width, pen = canvas.getContext('2d');
      const [x, y, angle, along, across] = TRACK;
      let grey = 0, coloured = 0;
      for (let step = 0; step < 360; step++) {
        const turn = step * Math.PI / 180, u = along * Math.cos(turn), v = across * Math.sin(turn);
        const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
        const at = [x + u * cosine - v * sine + .5, y + u * sine + v * cosine + .5];
        const [red, green, blue, seen] = pen.getImageData(at[0] * zoom, at[1] * zoom, 1, 1).data;
        if (seen < 200 || Math.max(red, green, blue) < 90) continue;
        if (Math.max(red, green, blue) - Math.min(red, green, blue) > 50) coloured++; else grey++;
      }
      return [coloured, grey];
    })()
    """
    shares = {}
    for track in (GOOD, ABSTAINED):
        found = result(0, still=True, **SCENE).cells[track - 1].detection
        numbers = f"[{found.x}, {found.y}, {found.angle}, {0.60 * found.length}, {0.42 * found.length}]"
        shares[track] = desk.tab.value(script.replace("TRACK", numbers))
    assert shares[GOOD][0] > 270
    assert shares[ABSTAINED][0] == 0
    assert 90 < shares[ABSTAINED][1] < 290


def test_a_click_on_a_head_shows_its_number_or_why_there_is_none(desk: Desk) -> None:
    tab = desk.tab
    tab.click(*desk.place(GOOD))
    tab.until(f"document.querySelector('#cell-title').textContent === 'Cell #{GOOD}'")
    steady = result(60, **SCENE).cells[GOOD - 1].steady["dfi"]
    tab.until("document.querySelector('#cell-more').textContent.includes('over 40 good frames')")
    assert tab.text("#cell-value") == f"DFI {steady.value:.3f}"
    assert tab.text("#cell-between") == f"between {steady.low:.3f} and {steady.high:.3f}"
    drawn = "document.querySelector('.crops canvas').getContext('2d').getImageData(0, 0, 64, 64).data"
    tab.until(f"{drawn}.some((value, index) => index % 4 < 3 && value > 60)")
    tab.click(*desk.place(ABSTAINED))
    tab.until(f"document.querySelector('#cell-title').textContent === 'Cell #{ABSTAINED}'")
    assert tab.text("#cell-value") == "DFI ?"
    assert tab.text("#cell-reason") == f"Abstained, because {REASON}."
    tab.click(*desk.place(ABSTAINED))
    tab.key("Escape")
    tab.until("document.querySelector('#cell-title').textContent === 'Cell'")


def test_everything_works_with_the_keyboard_alone(desk: Desk) -> None:
    tab, controls = desk.tab, desk.controls
    tab.key(" ", "Space")
    tab.until("document.querySelector('#link').textContent === 'Paused'")
    assert controls.asked == ["pause True"]
    tab.key("ArrowDown")  # while paused, cells are chosen all the same, and their crops come
    tab.until("document.querySelector('#cell-title').textContent === 'Cell #1'")
    assert tab.value("document.querySelector('#cells').getAttribute('aria-activedescendant')") == "cell-1"
    drawn = "document.querySelector('.crops canvas').getContext('2d').getImageData(0, 0, 64, 64).data"
    tab.until(f"{drawn}.some((value, index) => index % 4 < 3 && value > 60)")
    tab.key("ArrowDown")
    tab.key("ArrowDown")
    tab.key("ArrowDown")
    assert tab.text("#cell-reason") == f"Abstained, because {REASON}."
    tab.key("ArrowUp")
    assert tab.text("#cell-title") == "Cell #3"
    tab.key(" ", "Space")
    tab.until("document.querySelector('#link').textContent === 'Live'")
    tab.key("r")
    tab.until("document.querySelector('#record').getAttribute('aria-pressed') === 'true'")
    assert "recordings/2026" in tab.text("#notices")
    tab.key("s")
    tab.until("document.querySelector('#notices').textContent.includes('Saved as')")
    tab.key("r")
    tab.until("document.querySelector('#record').getAttribute('aria-pressed') === 'false'")
    assert controls.asked == ["pause True", "pause False", "record True", "snapshot", "record False"]
    tab.key("2")
    assert tab.value("getComputedStyle(document.querySelector('#brightfield')).display") == "none"
    tab.key("0")
    tab.key("c")
    assert tab.value("document.body.dataset.stain") == "magenta"
    tab.key("?")
    assert tab.value("document.querySelector('#help').open") is True
    for word in ("Space", "S", "R", "Esc", "L", "C"):
        assert word in tab.text("#help .keys")
    tab.key("Escape")
    assert tab.value("document.querySelector('#help').open") is False


@pytest.mark.parametrize(
    ("width", "height", "touch", "dark"),
    [
        (1366, 768, False, False),
        (1366, 768, False, True),
        (1920, 1080, False, True),
        (1024, 768, True, True),
        (768, 1024, True, False),
        (768, 1024, True, True),
        (390, 844, True, False),
    ],
)
def test_it_fits_the_screen(desk: Desk, tmp_path: Path, width: int, height: int, touch: bool, dark: bool) -> None:
    tab = desk.tab
    tab.screen(width, height, dark=dark, touch=touch)
    tab.key("ArrowDown")
    tab.until("document.querySelector('#cell-title').textContent === 'Cell #1'")
    time.sleep(0.3)
    assert tab.value(OVERFLOWING) == []
    cut = "[...document.querySelectorAll('.levels')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
    assert tab.value(cut) == []
    assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    overlap = """
    (() => { const box = id => document.querySelector(id).getBoundingClientRect();
      return box('#brightfield').bottom > box('#spread').top + 1 || box('#stains').bottom > box('#spread').top + 1; })()
    """
    assert tab.value(overlap) is False
    if width > 1000:
        assert tab.value("document.documentElement.scrollHeight <= innerHeight"), "a desk needs no scrolling"
    if touch:
        small = (
            "[...document.querySelectorAll('button, select')].filter(e => e.offsetHeight && e.offsetHeight < 40).length"
        )
        assert tab.value(small) == 0
    picture = tmp_path / "page.png"
    tab.screenshot(picture)
    pixels = cv2.imread(str(picture))
    assert pixels is not None
    corner = pixels[-4, 4]  # of the bar at the bottom
    assert (corner.max() < 60) if dark else (corner.min() > 220)
    assert np.unique(pixels.reshape(-1, 3), axis=0).shape[0] > 1000


def test_a_finger_chooses_a_cell(desk: Desk) -> None:
    desk.tab.screen(768, 1024, touch=True)
    time.sleep(0.3)
    desk.tab.tap(*desk.place(GOOD))
    desk.tab.until(f"document.querySelector('#cell-title').textContent === 'Cell #{GOOD}'")


def test_notices_are_shown_and_errors_stay(desk: Desk) -> None:
    text = "The camera gives nothing: <b>look</b> at its cable."
    desk.view.notice(Notice(level="error", kind="source-stalled", text=text, time=time.time()))
    desk.tab.until("!!document.querySelector('.notice[data-level=error]')")
    assert text in desk.tab.text("#notices")  # as text, not as HTML
    desk.tab.value("document.querySelector('.notice button').click()")
    assert desk.tab.text("#notices") == ""


@pytest.mark.parametrize("sooner", [True, False])
def test_a_recording_that_fails_is_not_called_begun(tab: Tab, sooner: bool) -> None:
    """The loop answers at once that it begins, and tells the error when it knows it: before or after the answer."""
    error = Notice(level="error", kind="recording-failed", text="The folder cannot be written.", time=time.time())

    class Failing(ScriptedControls):
        def record(self, on: bool) -> str:
            if sooner:
                view.notice(error)
                time.sleep(0.3)
            return "Recording into a new folder of recordings."

    with viewing(Failing()) as view:
        view.take(result(0, still=True, **SCENE))
        tab.open(view.url)
        tab.until("document.querySelector('#link').textContent === 'Live'")
        tab.key("r")
        if not sooner:
            tab.until("document.querySelector('#notices').textContent.includes('a new folder')")
            view.notice(error)
        tab.until("document.querySelector('#notices').textContent.includes('cannot be written')")
        time.sleep(0.6)
        assert "a new folder" not in tab.text("#notices")
        tab.open("about:blank")


def test_a_frame_that_was_not_stained_says_why(desk: Desk) -> None:
    desk.controls.paused = True
    time.sleep(0.2)
    desk.view.take(result(500, still=True, problem="The runtime failed: out of memory.", **SCENE))
    desk.tab.until("document.querySelector('#brightfield .message').textContent.includes('out of memory')")


def test_a_lost_connection_is_said_and_comes_back(tab: Tab) -> None:
    controls = ScriptedControls()
    tab.screen(1366, 768)
    with viewing(controls) as view:
        view.take(result(0, still=True, **SCENE))
        tab.open(view.url)
        tab.until("document.querySelector('#link').textContent === 'Live'")
        address = view.url.removeprefix("http://").rstrip("/")
    tab.until("!document.querySelector('#lost').hidden")
    assert "Connection lost: what you see is old. The session has ended." in tab.text("#lost")
    assert tab.value("getComputedStyle(document.querySelector('.stage')).opacity") == "0.45"
    with viewing(controls, address=address) as view:
        view.take(result(1, still=True, **SCENE))
        tab.until("document.querySelector('#lost').hidden")
        tab.until("document.querySelector('#link').textContent === 'Live'")
        tab.open("about:blank")


def test_silence_of_the_camera_is_said(tab: Tab) -> None:
    with viewing() as view:
        view.take(result(0, still=True, **SCENE))
        tab.open(view.url)
        tab.until("document.querySelector('#link').textContent === 'Live'")
        tab.until("document.querySelector('#link').textContent.startsWith('No frame for ')")
        tab.open("about:blank")


def test_the_printed_address_opens_the_page_and_the_token_leaves_it(tab: Tab) -> None:
    with viewing(token="a-token-of-the-laboratory") as view:
        view.take(result(0, still=True, **SCENE))
        tab.open(view.url)
        tab.until("document.querySelector('#link')?.textContent === 'Live'")
        assert "token" not in tab.value("location.href")
        assert tab.value("document.cookie") == ""
        tab.open("about:blank")
        tab.ask("Network.clearBrowserCookies")
        tab.open(view.url.partition("#")[0])
        tab.until("!!document.querySelector('#token')")
        tab.open("about:blank")


def test_without_javascript_pictures_come_all_the_same(tab: Tab, tmp_path: Path) -> None:
    controls = ScriptedControls()
    with viewing(controls) as view, Producer(view, controls, still=True, **SCENE):
        tab.ask("Emulation.setScriptExecutionDisabled", value=True)
        try:
            tab.open(view.url)
            deadline = time.monotonic() + 15
            spread = 0.0
            while spread < 20:
                assert time.monotonic() < deadline
                time.sleep(0.2)
                tab.screenshot(tmp_path / "plain.png")
                seen = cv2.imread(str(tmp_path / "plain.png"))
                assert seen is not None
                spread = float(seen[150:500, 300:1000].std())
        finally:
            tab.ask("Emulation.setScriptExecutionDisabled", value=False)
            tab.open("about:blank")


def test_several_quantities_can_be_chosen_and_fit(tab: Tab) -> None:
    area = Quantity(name="dfi-by-area", unit="1", description="", output="area")
    live = session(manifest=manifest(quantities=(*manifest().quantities, area)))
    shown = result(0, still=True, **SCENE)
    for cell in shown.cells:
        other = Readout(value=0.51, low=0.4, high=0.6, frames=3)
        object.__setattr__(cell, "steady", {**cell.steady, "dfi-by-area": other})
    tab.screen(1366, 768)
    with viewing(live=live) as view:
        view.take(shown)
        tab.open(view.url)
        tab.until("document.querySelectorAll('#cells [role=option]').length > 0")
        assert tab.value(OVERFLOWING) == []
        tab.value(
            "(select => { select.value = 'dfi-by-area'; select.dispatchEvent(new Event('change')); })"
            "(document.querySelector('#quantity'))"
        )
        tab.until(f"document.querySelector('#cell-{GOOD} .value').textContent === '0.51'")
        assert tab.text(f"#cell-{GOOD} .between") == "0.40 to 0.60"
        assert "dfi-by-area" in tab.text("#spread-title")
        tab.open("about:blank")


def test_a_whole_field_is_shown_with_a_caution(tab: Tab) -> None:
    """Between the heads a model of heads draws what is not there: in mode `field` the page says so, in `cells` not."""
    for mode in ("cells", "field"):
        with viewing(live=session(mode=mode)) as view:
            tab.open(view.url)
            tab.until("document.querySelector('#intended')?.textContent")
            assert ("draws what is not there" in tab.text("#use")) is (mode == "field")
            tab.open("about:blank")


def test_real_data_are_not_called_simulated(tab: Tab) -> None:
    live = session(simulated=False, manifest=manifest(simulated=False))
    with viewing(live=live) as view:
        tab.open(view.url)
        tab.until("document.querySelector('#intended')?.textContent")
        assert tab.value("document.querySelector('#simulated').hidden") is True
        assert "Research use only" in tab.text("#use")
        tab.open("about:blank")
