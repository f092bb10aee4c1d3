"""The report as people see it: real Chromium, on a phone, on a desk and on paper."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pytest

from tests.chromium import CHROMIUM, FLAGS
from vsframework.dataset.store import PatchDataset
from vsframework.evaluation import evaluate
from vsframework.evaluation.report import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian's package: chromium)")

LOOK = """
const found = {width: innerWidth, overflowing: [], broken: [], outside: []};
const name = e => e.tagName + '.' + (e.getAttribute('class') || '') + ' ' + (e.textContent || '').trim().slice(0, 40);
const page = document.documentElement;
if (page.scrollWidth > page.clientWidth + 1) found.overflowing.push('the page: ' + page.scrollWidth);
for (const e of document.body.querySelectorAll('*')) {
  const style = getComputedStyle(e);
  if (e.closest('svg') === null && style.display !== 'inline' && style.overflowX === 'visible'
      && e.clientWidth && e.scrollWidth > e.clientWidth + 1) found.overflowing.push(name(e));
}
for (const e of document.images) if (!e.complete || !e.naturalWidth) found.broken.push(e.alt);
for (const svg of document.querySelectorAll('svg')) {
  const frame = svg.getBoundingClientRect();
  for (const e of svg.querySelectorAll('text')) {
    const box = e.getBoundingClientRect();
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
        || box.bottom > frame.bottom + 1) found.outside.push(name(e));
  }
}
const answer = document.createElement('pre');
answer.id = 'what-was-seen';
answer.textContent = JSON.stringify(found);
parent.document.body.append(answer);
"""
"""Run inside the page: elements wider than their box, pictures that did not load, labels outside their plot."""


def chromium(folder: Path, page: Path, *arguments: str) -> str:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def look_at(folder: Path, report: Path, width: int) -> dict[str, Any]:
    """Open `report` in a window of `width` px, with a script that tells what does not fit."""
    page = report.read_text(encoding="utf-8").replace("</body>", f"<script>{LOOK}</script></body>")
    looked_at = folder / f"looked-at-{width}.html"
    # in a frame, because a window is never narrower than 500 px
    looked_at.write_text(
        f'<!doctype html><body><iframe srcdoc="{escape(page)}" width="{width}" height="900" style="border:0"></iframe>',
        encoding="utf-8",
    )
    dom = chromium(folder, looked_at, f"--window-size={width + 200},1000", "--dump-dom")
    seen = re.search(r'<pre id="what-was-seen">(.*?)</pre>', dom, re.DOTALL)
    assert seen, dom[-500:]
    found: dict[str, Any] = json.loads(unescape(seen[1]))
    return found


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    make_run: Callable[..., Any],
    known_stainer: Callable[..., Any],
    judge: Callable[..., None],
) -> Path:
    run: Path = make_run(tmp_path_factory.mktemp("seen") / "run", test_donors=["D1", "D3"])
    evaluate(PatchDataset.open(run / "dataset"), run, known_stainer(["D1", "D3"], error=0.03))
    rows = [{"epoch": epoch, "model": name, "l1": 1 / epoch} for epoch in (1, 2, 3) for name in ("dsDNA", "ssDNA")]
    pd.DataFrame(rows).to_csv(run / "metrics.csv", index=False)
    judge(run, known_stainer(["D1", "D3"], error=0.03))
    return write_report(run)


@pytest.mark.parametrize("width", [390, 820, 1366])
def test_nothing_overflows_and_everything_loads(tmp_path: Path, report: Path, width: int) -> None:
    assert look_at(tmp_path, report, width) == {"width": width, "overflowing": [], "broken": [], "outside": []}


def test_what_does_not_fit_is_found(tmp_path: Path, report: Path) -> None:
    """The looking itself can fail: a wide line and a missing picture are seen."""
    broken = tmp_path / "broken.html"
    wide = '<p style="white-space: nowrap">' + "wide " * 500 + '</p><img alt="gone" src="data:image/png;base64,AAAA">'
    broken.write_text(report.read_text(encoding="utf-8").replace("<main>", "<main>" + wide))
    found = look_at(tmp_path, broken, 1366)
    assert any("wide wide" in item for item in found["overflowing"])
    assert found["broken"] == ["gone"]


def test_the_screenshot_is_no_blank_page(tmp_path: Path, report: Path) -> None:
    picture = tmp_path / "report.png"
    chromium(tmp_path, report, "--window-size=1366,2400", f"--screenshot={picture}")
    pixels = cv2.imread(str(picture))
    assert pixels is not None
    assert pixels.shape[:2] == (2400, 1366)
    rows = pixels.reshape(2400, -1).std(axis=1) > 0
    assert rows[:2000].mean() > 0.5  # most lines of the page hold something


def test_it_prints(tmp_path: Path, report: Path) -> None:
    paper = tmp_path / "report.pdf"
    chromium(tmp_path, report, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page[^s]", paper.read_bytes())) >= 2
