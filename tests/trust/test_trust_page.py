"""docs/trust.md names what there is: every gate, every entry of trust.json, every column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from vsframework.config import TrustSection
from vsframework.plugins import registry
from vsframework.trust import Trust

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")


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


def test_the_figures_are_those_of_the_record() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "abstention.json").read_text(encoding="utf-8"))
    simulated = record["simulated"]
    for kind, item in simulated["planted"].items():
        assert re.search(rf"^\| {kind}( \*)? \| {item['caught']:.1%} of {item['images']} \|", PAGE, flags=re.MULTILINE)
    assert f"| none: clean cells | {simulated['clean']['false_alarms']:.1%} of" in PAGE
    for donor, row in record["real"]["donors"].items():
        counts = f"{row['cells']} | {row['black_border']} | {row['black_border_abstained']}"
        assert f"| {donor} | {counts} | {row['others_abstained']:.1%} |" in PAGE
    for row in record["coverage"]:
        if row["new_donor"] is not None:
            shares = " | ".join(f"{row[name]:.1%}" for name in ("same_donors", "new_donor", "new_donor_worst_tenth"))
            assert f"| {row['calibration_donors']} | {row['exchangeable']} | {shares} |" in PAGE
    assert simulated["holds"]


def test_every_built_in_gate_is_in_the_table_and_a_default() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ", PAGE, flags=re.MULTILINE)
    gates = {entry.component.name for entry in registry().entries("gate") if entry.plugin.name == "vsf-plugins"}
    assert gates <= set(rows)
    assert {gate.name for gate in TrustSection().gates} == gates


@pytest.mark.parametrize("name", ["answered", "reason", "lower_*", "upper_*", "expected_error_*", "gate_*"])
def test_every_column_is_explained(name: str) -> None:
    assert re.search(rf"^\|.*`{re.escape(name)}`.*\|", PAGE, flags=re.MULTILINE)
