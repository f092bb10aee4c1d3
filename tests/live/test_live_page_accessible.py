"""The live page for everybody: keyboard, screen reader, contrast, large letters, little movement."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from tests.chromium import CHROMIUM, Tab
from tests.live.desk import ABSTAINED, GOOD, SCENE, Desk
from tests.live.scripted import REASON, result, viewing
from vsf_edge.frames import Notice, Readout

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package: chromium)")

CONTRAST = """
const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => { const f = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
const behind = element => { for (let e = element; e; e = e.parentElement) {
  const colour = parse(getComputedStyle(e).backgroundColor);
  if (colour.length === 3) return colour; } return [255, 255, 255]; };
const contrast = (one, other) => { const both = [light(one), light(other)];
  return (Math.max(...both) + .05) / (Math.min(...both) + .05); };
"""
"""Of two colours, as WCAG 2.2 computes it."""

PALE_TEXT = """
[...document.querySelectorAll('body *')].filter(element => {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  return own && element.getClientRects().length && !element.closest('.stage, .unseen, noscript');
}).map(element => [element.id || element.className || element.tagName,
  contrast(parse(getComputedStyle(element).color), behind(element)).toFixed(2)]).filter(([, ratio]) => ratio < 4.5)
"""


def measured(tab: Tab, script: str) -> Any:
    return tab.value(f"(() => {{ {CONTRAST} return {script.strip()}; }})()")


def test_the_focus_goes_everywhere_and_is_seen(desk: Desk) -> None:
    tab = desk.tab
    reached = []
    for _ in range(14):
        tab.key("Tab", "Tab")
        reached.append(tab.value("document.activeElement.id || document.activeElement.className"))
        seen = tab.value("[getComputedStyle(document.activeElement).outlineStyle, document.activeElement.tagName]")
        assert seen[0] != "none" or seen[1] == "BODY", reached
        if reached[-1] == "cells":
            break
    assert reached[:5] == ["pause", "snapshot", "record", "help-button", "small alone"]
    assert reached[-1] == "cells"
    tab.key("End", "End")
    tab.until(
        "document.querySelector('#cells [aria-selected=true]') === document.querySelector('#cells').lastElementChild"
    )
    tab.value("document.querySelector('#pause').focus()")
    tab.key("Enter", "Enter")
    tab.until("document.querySelector('#pause').getAttribute('aria-pressed') === 'true'")
    assert desk.controls.asked == ["pause True"]


def test_everything_has_a_name(desk: Desk) -> None:
    """What a screen reader says of every button, select, list and picture."""
    tree = desk.tab.ask("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "listbox", "option", "combobox", "img", "image", "region", "toolbar"}
    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    assert [role for role, name in roles if role in named and not name] == []
    assert ("option", f"Cell {ABSTAINED}: no number, because {REASON}") in roles
    assert any(role in ("img", "image") and name.startswith("Brightfield: ") for role, name in roles)


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_in_light_and_dark(desk: Desk, dark: bool) -> None:
    """Every text that is seen, that of a notice and of the help too, has 4.5 : 1 against what lies behind it."""
    tab = desk.tab
    tab.screen(1366, 768, dark=dark)
    desk.view.notice(Notice(level="error", kind="disk-full", text="The disk is full.", time=time.time()))
    tab.key("r")
    tab.until("document.querySelector('#record').getAttribute('aria-pressed') === 'true'")
    tab.value(f"document.querySelector('#cell-{ABSTAINED}').click()")
    tab.until("document.querySelector('#cell-reason').textContent")
    tab.until("!!document.querySelector('.notice[data-level=error]')")
    assert measured(tab, PALE_TEXT) == []
    tab.key("?")
    assert measured(tab, PALE_TEXT.replace("'body *'", "'#help *'")) == []
    assert measured(tab, "document.querySelectorAll('#help dd').length") > 5
    tab.value("document.querySelector('#help').close()")


@pytest.mark.parametrize("dark", [False, True])
def test_the_form_for_the_token_can_be_read_and_its_field_seen(tab: Tab, dark: bool) -> None:
    tab.screen(1366, 768, dark=dark)
    with viewing(token="a-token-of-the-laboratory") as view:
        tab.ask("Network.clearBrowserCookies")
        tab.open(view.url.partition("#")[0])
        tab.until("!!document.querySelector('#token')")
        tab.value("document.querySelector('#wrong').hidden = false")
        assert measured(tab, PALE_TEXT) == []
        field = "document.querySelector('#token')"
        border = f"contrast(parse(getComputedStyle({field}).borderTopColor), behind({field}.parentElement))"
        assert measured(tab, border) >= 3
        tab.open("about:blank")


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_drawn_can_be_seen_in_light_and_dark(tab: Tab, dark: bool) -> None:
    """A bar of the highest values is pale yellow: it is seen on white by its border (3 : 1), and so is its dot."""
    high = result(0, still=True, **SCENE)
    for cell in high.cells:
        object.__setattr__(cell, "steady", {"dfi": Readout(value=0.3, low=0.28, high=0.32, frames=3)})
    tab.screen(1366, 768, dark=dark)
    with viewing() as view:
        view.take(high)
        tab.open(view.url)
        tab.until("[...document.querySelectorAll('#histogram rect')].some(bar => bar.getAttribute('height') > 0)")
        seen = "contrast(parse(getComputedStyle({0}('{1}')).stroke), behind({0}('{2}')))"
        assert measured(tab, seen.format("document.querySelector", "#histogram rect:last-of-type", "#spread")) >= 3
        assert measured(tab, seen.format("document.querySelector", f"#cell-{GOOD} circle", ".list")) >= 3
        tab.value("document.querySelector('#pause').focus()")
        ring = "contrast(parse(getComputedStyle(document.querySelector('#pause')).outlineColor), behind(document.body))"
        assert measured(tab, ring) >= 3
        tab.open("about:blank")


def test_single_keys_can_be_switched_off(desk: Desk) -> None:
    """Who speaks to a computer, or leans on a keyboard, must not start a recording (WCAG 2.1.4)."""
    tab = desk.tab
    tab.key("?")
    assert tab.value("document.activeElement.textContent") == "Close"
    tab.value("document.querySelector('#keys-on').click()")
    tab.value("document.querySelector('#help').close()")
    for key, code in ((" ", "Space"), ("r", ""), ("s", ""), ("2", "")):
        tab.key(key, code)
    tab.key("ArrowDown")  # writes nothing, so it works all the same
    tab.until(f"document.querySelector('#cell-title').textContent === 'Cell #{GOOD}'")
    assert desk.controls.asked == []
    tab.open(desk.view.url + "?again")
    tab.until("document.querySelector('#link')?.textContent === 'Live'")
    assert tab.value("document.querySelector('#keys-on').checked") is False  # it is remembered
    tab.value("localStorage.clear()")


def test_a_key_that_is_held_and_one_that_is_typed_into_a_list_start_nothing(desk: Desk) -> None:
    tab = desk.tab
    held = {"key": "r", "code": "KeyR", "windowsVirtualKeyCode": 82, "text": "r"}
    for repeated in (False, True, True):
        tab.ask("Input.dispatchKeyEvent", type="keyDown", autoRepeat=repeated, **held)
    tab.ask("Input.dispatchKeyEvent", type="keyUp", **{**held, "text": ""})
    tab.until("document.querySelector('#record').getAttribute('aria-pressed') === 'true'")
    tab.value("document.querySelector('#colours').focus()")
    tab.key("r")
    tab.key("s")
    tab.value("document.activeElement.blur()")
    tab.key("r")
    tab.until("document.querySelector('#record').getAttribute('aria-pressed') === 'false'")
    assert desk.controls.asked == ["record True", "record False"]


def test_a_screen_reader_is_told_each_state_once(tab: Tab) -> None:
    with viewing() as view:
        view.take(result(0, still=True, **SCENE))
        tab.open(view.url)
        tab.until("document.querySelector('#say-state').textContent === 'Live'")
        tab.value(
            "window.told = []; new MutationObserver(() => told.push(document.querySelector('#say-state').textContent))"
            ".observe(document.querySelector('#say-state'), {childList: true})"
        )
        tab.until("document.querySelector('#link').textContent === 'No frame for 5 s'")
        assert tab.value("told") == ["No frame comes"]
        assert tab.value("document.title") == "No frame comes · vsf live"
        live = "[...document.querySelectorAll('[role=status], [role=alert], [aria-live]')].map(e => e.id)"
        assert set(tab.value(live)) == {"say-state", "lost", "notices", "say"}
        tab.open("about:blank")


def test_letters_of_four_times_the_size_need_no_scrolling_sideways(desk: Desk) -> None:
    """A window of 1280 px at 400 % is 320 px wide (WCAG 1.4.10); numbers and losses stay in sight."""
    tab = desk.tab
    tab.screen(320, 640, touch=True)
    time.sleep(0.3)
    assert tab.value("document.documentElement.scrollWidth") <= 320
    beyond = "[...document.querySelectorAll('button')].filter(e => e.getBoundingClientRect().right > innerWidth).length"
    assert tab.value(beyond) == 0
    shown = (
        "[...document.querySelectorAll('#meters div')].filter(e => e.offsetHeight).map(e => e.firstChild.textContent)"
    )
    assert tab.value(shown) == ["Frame", "Stained", "Shown", "Latency", "Lost"]
    assert tab.value("document.querySelector('footer').getBoundingClientRect().height") < 640 / 5


def test_nothing_moves_where_little_movement_is_asked_for(desk: Desk) -> None:
    tab = desk.tab
    tab.key("r")
    tab.until("document.querySelector('#record').getAttribute('aria-pressed') === 'true'")
    moving = "document.getAnimations().filter(animation => animation.playState === 'running').length"
    assert tab.value(moving) == 1
    tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    tab.until(f"{moving} === 0")
    tab.ask("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize(("width", "height", "touch"), [(1366, 768, False), (768, 1024, True), (390, 844, True)])
def test_a_notice_covers_no_meter_and_can_be_scrolled_away_from(
    desk: Desk, width: int, height: int, touch: bool
) -> None:
    tab = desk.tab
    tab.screen(width, height, touch=touch)
    for kind in ("disk-slow", "camera-lost"):
        desk.view.notice(Notice(level="error", kind=kind, text="The camera lost 9 frames. " * 3, time=time.time()))
    tab.until("document.querySelectorAll('.notice').length === 2")
    box = "(id => { const b = document.querySelector(id).getBoundingClientRect(); return [b.top, b.bottom]; })"
    notices, meters = tab.value(f"{box}('#notices')"), tab.value(f"{box}('#meters')")
    assert notices[1] <= meters[0]
    assert notices[0] >= 0
    if touch:
        tab.value("scrollTo(0, document.documentElement.scrollHeight)")
        time.sleep(0.2)
        bottoms = "['.list', '.cell', '.spread'].map(id => document.querySelector(id).getBoundingClientRect().bottom)"
        assert max(tab.value(bottoms)) <= tab.value(f"{box}('#notices')")[0] + 1


def test_everything_fits_while_the_connection_is_lost(tab: Tab) -> None:
    tab.screen(1366, 768)
    with viewing() as view:
        view.take(result(0, still=True, **SCENE))
        tab.open(view.url)
        tab.until("document.querySelector('#link').textContent === 'Live'")
    tab.until("!document.querySelector('#lost').hidden")
    time.sleep(0.3)
    bottoms = json.loads(
        tab.value(
            "JSON.stringify(['#axis', '#spread', '.list', 'footer'].map(id => "
            "document.querySelector(id).getBoundingClientRect()).map(box => [box.top, box.bottom]))"
        )
    )
    assert np.array(bottoms)[:3, 1].max() <= bottoms[3][0]
    assert tab.value("document.querySelector('#brightfield .stage').offsetHeight") > 300
    tab.until("document.querySelector('#lost').textContent.includes('The session has ended.')")
    time.sleep(1.2)  # it has tried again in vain by now
    assert "The session has ended. Trying again" in tab.text("#lost")
    tab.open("about:blank")
