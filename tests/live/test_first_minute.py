"""docs/microscope.md as an engineer follows it: its commands, the shipped model, and the page in a real Chromium.

``VSF_PICTURES=docs/pictures pytest tests/live/test_first_minute.py`` writes the screenshots that the page shows.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chromium import CHROMIUM, Chromium, Tab
from vsf_edge.bundle import open_bundle
from vsf_edge.doctor import DEMO

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "microscope.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.S)
    for line in block.splitlines()
    if line.startswith("vsf-edge ")
]


DRAWN = """
[...document.querySelectorAll('#cell-body .crops canvas')].every(canvas => {
  const pen = Object.assign(document.createElement('canvas'), {width: canvas.width, height: canvas.height})
    .getContext('2d', {willReadFrequently: true});
  pen.drawImage(canvas, 0, 0);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels.some((value, index) => index % 4 < 3 && value > 100);
})
"""
"""Whether every crop of the chosen cell has arrived."""


def settled(tab: Tab) -> None:
    """Close the notices, as somebody does who read them: a busy machine loses frames, and says so again and again."""
    tab.value("document.querySelectorAll('.notice button').forEach(button => button.click())")
    assert tab.value("document.querySelectorAll('.notice').length") == 0


ABSTAINED = (
    "[...document.querySelectorAll('#cells [role=option]')].find(cell => cell.querySelector('.why').textContent)"
)
"""A cell of the list that gets no number."""


def paused_with_an_abstained_cell(tab: Tab) -> None:
    """Pause the session while a cell abstains; it may have come back by the last frame that is shown, so try again."""
    for _ in range(20):
        tab.until(f"!!{ABSTAINED}", within=60)
        tab.key(" ", "Space")
        tab.until("document.querySelector('#link').textContent === 'Paused'")
        shown = None
        while shown != (shown := tab.text("#meters") + tab.text("#cells")):  # what was being worked on still comes
            time.sleep(1)
        if tab.value(f"!!{ABSTAINED}"):
            return
        tab.key(" ", "Space")
        tab.until("document.querySelector('#link').textContent === 'Live'")
    pytest.fail("no cell abstained in the frame at which the session paused, twenty times")


def words(command: str) -> list[str]:
    """The command of the page as this environment runs it."""
    return [sys.executable, "-m", "vsf_edge", *shlex.split(command)[1:]]


def following(line: str) -> str:
    """The command of the page that begins with `line`, so that the test breaks when the page changes."""
    return next(command for command in COMMANDS if command.startswith(line))


@contextmanager
def running(command: str, folder: Path, *extra: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a live session of the page; gives the process and the address that it prints."""
    environment = {**os.environ, "VSF_EDGE_CACHE": str(folder / "cache"), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*words(command), *extra], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                break
        else:
            pytest.fail("no address was printed: " + "".join(told))
        yield process, found[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_every_command_of_the_page_has_the_options_that_it_names() -> None:
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        verb, *rest = shlex.split(command)[1:]
        answer = subprocess.run(
            [sys.executable, "-m", "vsf_edge", verb, "--help"], capture_output=True, text=True, check=True
        )
        for word in rest:
            if word.startswith("-"):
                assert re.search(rf"(^|\s){word}\b", answer.stdout), f"{command}: {verb} has no {word}"


def test_the_page_says_what_the_shipped_model_is_worth() -> None:
    """Its DFI was compared with a constant on held-out simulated donors: the page says which way it went."""
    with open_bundle(DEMO) as bundle:
        gain = bundle.manifest.document["metadata"]["evaluation"]["quantities"]["dfi"]["gain_interval"]
    said = "no better\nthan one number for all" in PAGE
    assert said is (gain["low"] <= 0)


def test_doctor_says_that_this_box_can_run_a_model(tmp_path: Path) -> None:
    answer = subprocess.run(words(following("vsf-edge doctor")), cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "onnxruntime" in answer.stdout
    assert f"{DEMO} (a model of SIMULATED cells)" in answer.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package: chromium)")
def test_live_without_arguments_shows_cells_with_intervals_within_the_first_minute(tmp_path: Path) -> None:
    pictures = Path(os.environ.get("VSF_PICTURES", tmp_path)).resolve()
    command = next(command for command in COMMANDS if command == "vsf-edge live")
    with running(command, tmp_path, "--port", "0") as (process, address), Chromium(tmp_path) as tab:
        tab.screen(1366, 768)
        tab.open(address)
        tab.until("document.querySelector('#link').textContent === 'Live'", within=60)
        tab.until("document.querySelectorAll('#cells [role=option]').length >= 3")
        assert not tab.value("document.querySelector('#simulated').hidden")  # it says that the model is simulated
        tab.until("Number(document.querySelector('#meters dd').textContent) > 60", within=30)  # its meters are steady
        settled(tab)
        tab.screenshot(pictures / "live-view.png")
        assert tab.value("document.querySelector('#cell-body').hidden")
        tab.value("document.querySelector('#cells').focus()")
        tab.key("ArrowDown")
        tab.until("!document.querySelector('#cell-body').hidden")
        assert tab.until("document.querySelector('#cell-value').textContent")
        assert tab.value("document.querySelectorAll('#cell-body .crops canvas').length") >= 2
        tab.until(DRAWN)
        settled(tab)
        tab.screenshot(pictures / "live-cell.png")
        tab.screen(768, 1024, dark=True, touch=True)
        tab.until("document.documentElement.scrollWidth <= innerWidth && innerWidth === 768")
        tab.until("getComputedStyle(document.body).backgroundColor === 'rgb(16, 19, 23)'")
        time.sleep(0.5)  # a frame or two in the new size
        settled(tab)
        tab.screenshot(pictures / "live-tablet.png")
        assert tab.complaints == []
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "frames came out" in said
        assert "capture to result: p50" in said


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package: chromium)")
def test_cells_out_of_focus_fall_silent_and_say_why(tmp_path: Path) -> None:
    pictures = Path(os.environ.get("VSF_PICTURES", tmp_path)).resolve()
    with (
        running(following("vsf-edge live -O defocus"), tmp_path, "--port", "0", "--runtime", "onnxruntime") as (
            _,
            address,
        ),
        Chromium(tmp_path) as tab,
    ):
        tab.screen(1366, 768)
        tab.open(address)
        paused_with_an_abstained_cell(tab)
        tab.value(f"{ABSTAINED}.click()")
        why = tab.until("document.querySelector('#cell-reason').textContent")
        assert "focus" in why or "distance" in why or "head" in why
        tab.until(DRAWN)
        settled(tab)
        assert "?" in tab.text("#cells")
        assert "?" in tab.text("#cell-value")
        tab.screenshot(pictures / "live-abstained.png")
        assert tab.complaints == []


def test_the_recording_of_the_page_is_whole(tmp_path: Path) -> None:
    command = following("vsf-edge live --record")
    assert "--seconds 20" in command
    command = command.replace("--seconds 20", "--seconds 3")
    with running(command, tmp_path, "--port", "0", "--runtime", "onnxruntime") as (process, _):
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    (folder,) = [path for path in (tmp_path / "recordings").iterdir() if path.is_dir()]
    answer = subprocess.run(words(f"vsf-edge recording {folder}"), capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert (folder / "cells.csv").read_text(encoding="utf-8").count("\n") > 3


def test_the_pictures_of_the_page_are_there() -> None:
    view = (DOCS / "live-view.md").read_text(encoding="utf-8")
    for name in re.findall(r"\]\((pictures/[^)]+)\)", PAGE + view):
        assert (DOCS / name).is_file(), name
