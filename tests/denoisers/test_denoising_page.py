"""The figures of docs/denoising.md are those of the record, and what it says about the default holds in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark_scripts import load_benchmark
from vsframework.config import DataSection, Experiment, load_experiment
from vsframework.plugins import registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / "background.json").read_text("utf-8"))
    return found


@pytest.fixture
def benchmark_script(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load_benchmark("background", monkeypatch)


def test_the_table_is_the_record(record: dict[str, Any], benchmark_script: Any) -> None:
    page = (ROOT / "docs" / "denoising.md").read_text("utf-8")
    for line in benchmark_script.table(record["rows"]):
        assert line in page


def test_the_default_errs_least_on_simulated_light(record: dict[str, Any]) -> None:
    def mean(rule: str, key: str = "dfi_mae") -> float:
        found = [row[key] for row in record["rows"] if row["rule"] == rule and not row["slope"]]
        return sum(found) / len(found)

    default = Experiment(data=DataSection(root=".")).denoiser.name
    rules = {row["rule"] for row in record["rows"]}
    assert default in rules
    assert mean(default) <= 1.05 * min(map(mean, rules))  # local-plane is as good, and more complicated
    assert mean(default) < 0.25 * mean("histogram-mode")
    assert mean(f"{default}, clip") > 3 * mean(default)


def test_reproducing_the_paper_uses_the_papers_rule() -> None:
    experiment = load_experiment(ROOT / "examples" / "paper.toml")
    assert (experiment.denoiser.name, experiment.denoiser.params) == ("histogram-mode", {"modes": 3})


def test_every_denoiser_is_on_the_page() -> None:
    page = (ROOT / "docs" / "denoising.md").read_text("utf-8")
    ours = [entry.component.name for entry in registry().entries("denoiser") if entry.plugin.name == "vsf-plugins"]
    assert len(ours) == 7
    assert [name for name in ours if f"\n| `{name}` |" not in page] == []


def test_a_small_benchmark_runs(benchmark_script: Any) -> None:
    scenes = benchmark_script.simulate_scenes({"sparse": 1}, seed=2)
    condition = {"offset": 4.0, "noise": 1.0, "bit_depth": 12, "slope": 0.0}
    rows = {row["rule"]: row for row in benchmark_script.measure_condition(condition, scenes, seed=2)}
    assert set(rows) == set(benchmark_script.RULES)
    assert rows["border-median"]["cells"] >= 1
    assert rows["border-median"]["dfi_mae"] < 0.01 < rows["none"]["dfi_mae"]
