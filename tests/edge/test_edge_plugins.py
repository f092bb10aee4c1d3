"""Plugins of the edge: found by entry point, broken ones isolated, collisions told."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from vsf_edge.doctor import examine
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.plugins import ENTRY_POINT_GROUP, EdgePlugins, plugins
from vsf_edge.settings import describe_settings

RUNTIME = """
from vsf_edge.interfaces import Availability

class Good:
    def availability(self):
        return Availability(usable=True, detail="always", facts={})
    def identity(self, plan):
        return {}
    def build(self, bundle, plan, folder):
        raise NotImplementedError
    def open(self, bundle, plan=None, engine=None):
        raise NotImplementedError

class Crashing(Good):
    def availability(self):
        import os, signal
        os.kill(os.getpid(), signal.SIGSEGV)

class Unbuildable:
    def __init__(self):
        raise OSError("libfast.so is missing")

class Unasked(Good):
    def availability(self):
        raise RuntimeError("no answer")

class Other:
    pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    (tmp_path / "fast_runtime.py").write_text(RUNTIME)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fast_runtime", raising=False)

    def run(*lines: str, distribution: str = "fast") -> list[EntryPoint]:
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINT_GROUP}]", *lines]))
        points = [point for dist in distributions(path=[str(tmp_path)]) for point in dist.entry_points]
        return [point for point in points if point.group == ENTRY_POINT_GROUP]

    return run


def test_the_built_in_runtime_comes_as_a_plugin() -> None:
    found = plugins().find("runtime", "onnxruntime")
    assert found.origin.startswith("vsf-edge ")
    assert found.create().availability().usable


def test_a_broken_plugin_does_not_hide_the_good_one(install) -> None:
    found = EdgePlugins(
        install(
            "runtime.good = fast_runtime:Good",
            "runtime.broken = fast_runtime:Unbuildable",
            "runtime.absent = no_such_module:Runtime",
            "runtime.silent = fast_runtime:Unasked",
            "runtime.other = fast_runtime:Other",
            "runtime.crashing = fast_runtime:Crashing",
            "runtme.misspelt = fast_runtime:Good",
        )
    )
    examination = examine(found)
    assert {name for name, runtime in examination.runtimes.items() if runtime.usable} == {"good"}
    assert "libfast.so is missing" in examination.runtimes["broken"].detail
    assert "no_such_module" in examination.runtimes["absent"].detail
    assert "no answer" in examination.runtimes["silent"].detail
    assert "crashed (SIGSEGV)" in examination.runtimes["crashing"].detail
    assert "has not the methods" in examination.runtimes["other"].detail
    assert any("runtme.misspelt" in sentence for sentence in examination.advice)
    with pytest.raises(EdgeError, match=r"broken.*fast 1\.0.*libfast"):
        found.find("runtime", "broken").create()


def test_a_collision_is_told_on_look_up(install) -> None:
    install("runtime.good = fast_runtime:Good", distribution="one")
    found = EdgePlugins(install("runtime.good = fast_runtime:Good", distribution="two"))
    with pytest.raises(EdgeUsageError, match=r"one 1\.0 and two 1\.0"):
        found.find("runtime", "good")


def test_a_machine_without_a_runtime_is_told_what_to_do() -> None:
    examination = examine(EdgePlugins([]))
    assert not examination.usable
    assert any("pip install" in sentence for sentence in examination.advice)


DETECTORS = """
from dataclasses import dataclass
from vsf_edge.settings import read_settings, setting

class Plain:
    def __init__(self, *, head_length: float, dark: bool = True, name: str = "", levels: list[int] | None = None):
        pass

@dataclass(frozen=True, kw_only=True)
class Looks:
    depth: float = setting(0.1, "How dark a head is.", low=0, high=1)

class Described:
    settings = Looks
    def __init__(self, *, head_length: float, **given: object):
        read_settings(Looks, given, "detector described")

class Unknown:
    def __init__(self, *, head_length: float, part: "NoSuchType" = 1):
        pass
"""


def test_settings_are_those_a_plugin_declares_or_its_keywords(
    install: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other_detectors.py").write_text(DETECTORS)
    monkeypatch.delitem(sys.modules, "other_detectors", raising=False)
    kinds = ("Plain", "Described", "Unknown")
    lines = [f"detector.{kind.lower()} = other_detectors:{kind}" for kind in kinds]
    found = EdgePlugins(install(*lines, distribution="other"))  # type: ignore[operator]
    described = [describe_settings(found.find("detector", name).settings()) for name in ("plain", "described")]
    assert [(item.name, item.default, item.allowed) for item in described[0]] == [
        ("dark", "true", "true or false"), ("name", "", ""),
    ]  # fmt: skip
    assert [(item.name, item.allowed, item.text) for item in described[1]] == [
        ("depth", "a number from 0 to 1", "How dark a head is.")
    ]
    with pytest.raises(EdgeError, match=r"detector 'unknown' of other 1.0 could not be loaded .*'NoSuchType'"):
        found.find("detector", "unknown").settings()
