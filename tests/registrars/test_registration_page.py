"""docs/registration.md names every registrar, and its figures are those of the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark_scripts import load_benchmark
from vsframework.plugins import registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "registration.md").read_text("utf-8")


@pytest.fixture
def benchmark_script(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load_benchmark("registrars", monkeypatch)


def test_the_tables_are_the_record(benchmark_script: Any) -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "registrars.json").read_text("utf-8"))
    for name, lines in benchmark_script.tables(record).items():
        assert "\n".join(lines) in PAGE, f"the table {name!r} is not that of the record"


def test_the_record_holds_no_accepted_falsehood() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "registrars.json").read_text("utf-8"))
    assert [row for row in record["real"] if row["accepted"] and not row["belongs"]] == []
    assert sum(row["false_accepted"] for row in record["simulated"]) == 0


def test_every_registrar_is_on_the_page() -> None:
    ours = [entry.component.name for entry in registry().entries("registrar") if entry.plugin.name == "vsf-plugins"]
    assert len(ours) == 6
    assert [name for name in ours if f"\n| `{name}` |" not in PAGE] == []
