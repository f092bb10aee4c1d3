"""docs/evaluation.md says what the code says: every metric, every test, and the comparison it prints."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from vsframework.cli.compare import describe
from vsframework.config import BaselineSection
from vsframework.evaluation.compared_errors import compare_table
from vsframework.evaluation.comparing import TESTS
from vsframework.evaluation.metrics import Agreement
from vsframework.evaluation.results import PixelDonor, PixelResult

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "evaluation.md").read_text(encoding="utf-8")


def explained(title: str) -> set[str]:
    section = TEXT.partition(f"## {title}")[2].partition("\n## ")[0]
    firsts = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {name for first in firsts for name in re.findall(r"`(\w+)`", first)}


def test_every_metric_is_explained() -> None:
    assert explained("The quantity, cell by cell") == {field.name for field in fields(Agreement)}
    numbers = {*PixelDonor.model_fields, *PixelResult.model_fields} - {"donor", "held_out", "stain", "donors"}
    assert explained("The pixels, stain by stain") == numbers


def test_every_test_is_explained() -> None:
    section = TEXT.partition("## Comparing runs")[2]
    assert [name for name in TESTS if f"| {name} |" not in section] == []


def test_every_key_of_the_baseline_is_shown_with_its_default() -> None:
    for name, value in BaselineSection().model_dump().items():
        assert re.search(rf"^{name} = {str(value).lower()}\b", TEXT, re.MULTILINE), name


def test_the_example_is_what_the_command_prints() -> None:
    printed = describe(compare_table(DOCS / "table1.csv")).splitlines()
    shown = TEXT.partition("$ vsf compare docs/table1.csv\n")[2].partition("```")[0].splitlines()
    assert len(shown) == 6
    assert [line for line in shown if line not in printed] == []
