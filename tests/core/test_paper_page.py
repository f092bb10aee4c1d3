"""docs/paper.md says where the paper's steps are and what its open points became: held against the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from vsframework.config import parse_experiment
from vsframework.plugins import registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
FILES = re.findall(r"\| `((?:plugins|vsframework)/[^`]+)` \|", PAGE)
POINTS = re.findall(r"\| `(\w+)\.(\w+)` \| `([^`]+)` \|", PAGE)
FACTS = 21
"""Open points that the page lists; a lost row is a lost fact."""


def default(section: str, key: str) -> object:
    experiment = parse_experiment({"data": {"root": "."}}, "test")
    selection = getattr(experiment, section)
    if section in ("generator", "quantifier"):
        selection = registry().find(section, selection.name).component.parse({})
    return getattr(selection, key)


def test_every_step_has_its_file() -> None:
    assert len(FILES) == 9
    assert [name for name in FILES if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize(("section", "key", "value"), POINTS)
def test_every_open_point_is_a_parameter_with_this_default(section: str, key: str, value: str) -> None:
    said = tomllib.loads(f"value = {value}")["value"]
    found = default(section, key)
    assert (list(found) if isinstance(found, tuple) else found) == said


def test_no_open_point_is_lost() -> None:
    assert len(POINTS) == FACTS
