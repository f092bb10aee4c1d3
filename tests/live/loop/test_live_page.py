"""docs/live.md says what there is: every option, every notice, and the figures of the record."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.benchmark_scripts import load_benchmark
from vsf_edge.cli.live import command

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
RECORD = ROOT / "benchmarks" / "results" / "live.json"
SHARED_WITH_OTHER_VERBS = {"--runtime", "--precision", "--verify"}
OF_THE_VIEW = {"--host", "--port", "--token", "--no-browser-view"}


def test_every_option_is_explained() -> None:
    options = {name for item in command.params for name in item.opts if name.startswith("--")}
    assert "--policy" in options
    missing = {name for name in options if name not in PAGE} - SHARED_WITH_OTHER_VERBS - OF_THE_VIEW
    assert missing == set()


def test_every_notice_is_named() -> None:
    kinds: set[str] = set()
    for path in (ROOT / "edge" / "vsf_edge" / "live").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        kinds |= set(re.findall(r'(?:tell|_say)\(\s*(?:"\w+"|level),\s*"([a-z-]+)"', text))
        kinds |= set(re.findall(r'_tell\("\w+", "([a-z-]+)"', text))
    assert {"source-stalled", "smaller-batches", "size-changed", "no-trust-table"} <= kinds
    assert sorted(kind for kind in kinds if f"`{kind}`" not in PAGE) == []


def test_the_figures_are_those_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    table = load_benchmark("live", monkeypatch).table(json.loads(RECORD.read_text(encoding="utf-8")))
    shown = PAGE.partition("<!-- table -->")[2].partition("<!-- end -->")[0].strip()
    assert shown == table.strip()
