"""docs/trust.md names what there is: every gate, every entry of trust.json, every column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from vsframework.config import TrustSection
from vsframework.plugins import registry
from vsframework.trust import Trust

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "trust.md").read_text(encoding="utf-8")


def names(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        for inner in models(field.annotation):
            yield from names(inner)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models(argument)


def test_every_entry_of_the_table_is_explained() -> None:
    section = PAGE.partition("## `trust.json`")[2]
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", section))))
    assert {"precision", "across_donors"} <= set(names(Trust))  # the models are really walked through
    assert sorted(set(names(Trust)) - words) == []


def test_every_built_in_gate_is_in_the_table_and_a_default() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ", PAGE, flags=re.MULTILINE)
    gates = {entry.component.name for entry in registry().entries("gate") if entry.plugin.name == "vsf-plugins"}
    assert gates <= set(rows)
    assert {gate.name for gate in TrustSection().gates} == gates


@pytest.mark.parametrize("name", ["answered", "reason", "lower_*", "upper_*", "expected_error_*", "gate_*"])
def test_every_column_is_explained(name: str) -> None:
    assert re.search(rf"^\|.*`{re.escape(name)}`.*\|", PAGE, flags=re.MULTILINE)
