"""The figures of docs/detection.md are those of the record, and the record holds what is promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark_scripts import load_benchmark
from vsframework.plugins import registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "detection.md").read_text("utf-8")


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / "detectors.json").read_text("utf-8"))
    return found


@pytest.fixture
def benchmark_script(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load_benchmark("detectors", monkeypatch)


def test_the_tables_are_the_record(record: dict[str, Any], benchmark_script: Any) -> None:
    lines = benchmark_script.tables(record)
    assert sum(line.startswith("| ") for line in lines) > 15
    for line in lines:
        assert line in PAGE.splitlines(), line


def test_the_record_holds_what_is_promised(record: dict[str, Any]) -> None:
    default = [row for row in record["simulated"] if row["condition"] == "default"]
    assert {row["detector"] for row in default} == {"head-blob", "nuclei"}
    for row in default:
        assert row["fields"] >= 20
        assert row["recall"] > 0.95
        assert row["precision"] > 0.95
        assert row["turned_median"] < 5
        assert row["flipped"] < 0.05
    for row in record["live"]:
        assert row["detect_least"] < (6 if row["size"] == 1024 else 15)
        assert row["crop_least"] < 0.15


def test_every_built_in_detector_is_on_the_page() -> None:
    for entry in registry().entries("detector"):
        if entry.plugin.name == "vsf-plugins":
            assert f"| `{entry.component.name}` | " in PAGE
