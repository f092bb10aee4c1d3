"""What runs a bundle is what is asked for, else what was measured to be the fastest here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.choice import Choice, choose
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.interfaces import Availability, Plan, Session
from vsf_edge.plugins import EdgePlugins


class Fake:
    """A runtime that gives the known model's numbers, with a speed and an error of its own."""

    delay_s: ClassVar[float] = 0.0
    error: ClassVar[Mapping[str, float]] = {}  # of the DFI, by precision
    devices: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32", "int8")}
    version: ClassVar[str] = "1"
    opened: ClassVar[list[str]] = []

    def availability(self) -> Availability:
        return Availability(usable=True, detail="", facts={}, devices=self.devices)

    def identity(self, plan: Plan) -> Mapping[str, str]:
        return {"version": self.version}

    def build(self, bundle: Bundle, plan: Plan, folder: Path) -> None:
        pass

    def open(self, bundle: Bundle, plan: Plan = Plan(), engine: Path | None = None) -> Session:  # noqa: B008
        bundle.model(plan.precision)
        delay, error = self.delay_s, self.error.get(plan.precision, 0.0)
        Fake.opened.append(f"{type(self).__name__}:{plan.device} {plan.precision}")

        class Known:
            def run(self, brightfield: Any) -> Mapping[str, Any]:
                time.sleep(delay)
                gains = np.array([2, 1], np.float32).reshape(1, 2, 1, 1)
                return {"stains": brightfield * gains, "dfi": np.full(len(brightfield), 1 / 3 + error, np.float32)}

        return Known()


class Fast(Fake):
    pass


class Slow(Fake):
    delay_s = 0.02


class Drifting(Fake):
    error: ClassVar[Mapping[str, float]] = {"int8": 0.01, "fp16": 0.01}
    devices: ClassVar[Mapping[str, tuple[str, ...]]] = {"cuda": ("fp16", "fp32", "int8")}


class Absent(Fake):
    def availability(self) -> Availability:
        return Availability(usable=False, detail="libfast is missing", facts={})


def plugins(**runtimes: type[Fake]) -> EdgePlugins:
    return EdgePlugins(
        EntryPoint(f"runtime.{name}", f"{__name__}:{kind.__name__}", "vsf_edge") for name, kind in runtimes.items()
    )


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsf_edge.choice.MEASURED_SECONDS", 0.05)
    monkeypatch.setattr("vsf_edge.plugins.EdgePlugin.create", lambda self, **_: globals()[self.point.attr]())
    Fake.opened.clear()


@pytest.fixture
def pick(make_model: Callable[..., Path], tmp_path: Path) -> Callable[..., Choice]:
    """Choose for the known model in three precisions, with a cache of this test's own."""
    names = {precision: f"model.{precision}.onnx" for precision in ("fp32", "fp16", "int8")}
    model = make_model({"model": {"files": names}}, dict.fromkeys(names.values(), b"a graph"))

    def act(found: EdgePlugins, *wish: str, **options: Any) -> Choice:
        with open_bundle(model) as bundle:
            return choose(bundle, found, *wish, root=tmp_path / "cache", **options)

    return act


def test_the_fastest_is_taken_and_remembered(pick: Callable[..., Choice]) -> None:
    found = plugins(slow=Slow, fast=Fast)
    first = pick(found)
    assert first.engine.label == "fast:cpu fp32"
    assert first.measured_ms["slow:cpu fp32"] > 10 > first.measured_ms["fast:cpu fp32"]
    Fake.opened.clear()
    second = pick(found)
    assert second.engine.label == first.engine.label
    assert second.reason == first.reason
    assert Fake.opened == ["Fast:cpu fp32"]  # nothing was measured again


def test_a_change_of_any_runtime_measures_again(pick: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch) -> None:
    found = plugins(slow=Slow, fast=Fast)
    pick(found)
    monkeypatch.setattr(Slow, "version", "2")
    monkeypatch.setattr(Slow, "delay_s", 0.0)
    monkeypatch.setattr(Fast, "delay_s", 0.02)
    assert pick(found).engine.label == "slow:cpu fp32"


def test_what_is_asked_for_is_taken(pick: Callable[..., Choice]) -> None:
    found = plugins(slow=Slow, fast=Fast)
    assert pick(found, "slow").engine.label == "slow:cpu fp32"
    assert pick(found, "slow:cpu", "int8").engine.label == "slow:cpu int8"
    assert pick(found, "auto", "int8").engine.label == "fast:cpu int8"


def test_int8_is_never_taken_without_being_asked_for(pick: Callable[..., Choice]) -> None:
    assert pick(plugins(fast=Fast)).engine.plan.precision == "fp32"
    assert not any("int8" in label for label in Fake.opened)


def test_a_precision_that_drifts_falls_back_to_fp32_with_the_reason(pick: Callable[..., Choice]) -> None:
    for wish in (("drifting:cuda", "int8"), ("auto", "fp16")):
        choice = pick(plugins(drifting=Drifting), *wish)
        assert choice.engine.label == "drifting:cuda fp32"
        assert f"fp32 instead of {wish[1]}" in choice.reason
        assert "dfi by 0.01" in choice.reason


def test_automatic_leaves_out_what_drifts(pick: Callable[..., Choice]) -> None:
    choice = pick(plugins(drifting=Drifting))
    assert choice.engine.label == "drifting:cuda fp32"
    assert "dfi by 0.01" in choice.rejected["drifting:cuda fp16"]


def test_nothing_that_works_is_told_with_what_was_tried(pick: Callable[..., Choice]) -> None:
    with pytest.raises(EdgeError, match=r"absent: libfast is missing.*doctor"):
        pick(plugins(absent=Absent))
    with pytest.raises(EdgeError, match="no runtime is installed"):
        pick(plugins())


def test_a_lower_precision_that_drifts_is_not_built_again_each_time(pick: Callable[..., Choice]) -> None:
    found = plugins(drifting=Drifting)
    reason = pick(found, "drifting:cuda", "int8").reason
    Fake.opened.clear()
    assert pick(found, "drifting:cuda", "int8").reason == reason
    assert Fake.opened == ["Drifting:cuda fp32"]


def test_a_runtime_that_raises_anything_does_not_stop_the_others(
    pick: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, plan: Plan) -> Mapping[str, str]:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(Slow, "identity", broken)
    choice = pick(plugins(slow=Slow, fast=Fast))
    assert choice.engine.runtime == "fast"
    assert "no such thing" in choice.rejected["slow"]


def test_a_precision_that_no_device_runs_is_told(pick: Callable[..., Choice]) -> None:
    with pytest.raises(EdgeError, match=r"fast:cpu: runs fp32, int8, which is not what is asked for"):
        pick(plugins(fast=Fast), "fast", "fp16")


def test_wrong_wishes_are_wrong_use(pick: Callable[..., Choice]) -> None:
    found = plugins(fast=Fast)
    with pytest.raises(EdgeUsageError, match="did you mean 'fast'"):
        pick(found, "fats")
    with pytest.raises(EdgeUsageError, match="no precision 'int4'"):
        pick(found, "auto", "int4")
    with pytest.raises(EdgeError, match="usable are cpu"):
        pick(found, "fast:cuda")


def test_a_choice_that_works_no_more_is_made_again(
    pick: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plugins(slow=Slow, fast=Fast)
    pick(found)

    def broken(self: Any, bundle: Bundle, plan: Plan, engine: Path | None = None) -> Session:
        raise EdgeError("device lost")

    monkeypatch.setattr(Fast, "open", broken)
    told: list[str] = []
    assert pick(found, tell=told.append).engine.label == "slow:cpu fp32"
    assert any("device lost" in sentence for sentence in told)
