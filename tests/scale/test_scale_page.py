"""docs/scale.md says what the records say, and names what there is."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from vsframework.cli import vsf
from vsframework.inference.whole_fields import BLOCK
from vsframework.trust.staining import LARGE

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def test_the_figures_are_those_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])
    from _scale_page import with_figures  # type: ignore[import-not-found]

    assert with_figures(PAGE) == PAGE, "run python benchmarks/_scale_page.py"


def test_builds_on_one_and_two_workers_were_the_same() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "scale.json").read_text(encoding="utf-8"))
    assert record["same"] is True
    hashes = {(row["fields"], row["hash"]) for row in record["builds"]}
    assert len(hashes) == len({row["fields"] for row in record["builds"]})


def test_the_numbers_of_the_text_are_those_of_the_code() -> None:
    assert f"{BLOCK}x{BLOCK} px" in PAGE
    assert f"{LARGE / 1e6:.0f} million pixels" in PAGE


@pytest.mark.parametrize("words", re.findall(r"^vsf (.+?)(?: {2,}#.*)?$", PAGE, flags=re.MULTILINE))
def test_every_option_of_the_examples_is_there(words: str) -> None:
    import click

    verb, *rest = words.split()
    command = vsf.get_command(click.Context(vsf), verb)
    if isinstance(command, click.Group):
        command = command.get_command(click.Context(command), rest[0])
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in rest if re.match("--?[a-z]", word)} <= known
