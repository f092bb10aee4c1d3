"""Engines are built once, checked, kept, shared between processes, and built again when what they depend on changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsf_edge.bundle import open_bundle
from vsf_edge.engines import DriftError, get_engine
from vsf_edge.errors import EdgeError
from vsf_edge.interfaces import Plan
from vsf_edge.runtimes.onnxruntime import OnnxRuntime


class Counting(OnnxRuntime):
    """ONNX Runtime that counts what it builds, and whose version can change."""

    def __init__(self) -> None:
        self.version = "1"
        self.builds = 0

    def identity(self, plan: Plan) -> Mapping[str, str]:
        return {**super().identity(plan), "version": self.version}

    def build(self, bundle: Any, plan: Plan, folder: Path) -> None:
        self.builds += 1
        super().build(bundle, plan, folder)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def folders(cache: Path) -> list[str]:
    return sorted(path.parent.name for path in cache.rglob("engine.json"))


def test_an_engine_is_built_once_and_then_found(model: Path, cache: Path) -> None:
    runtime = Counting()
    with open_bundle(model) as bundle:
        first = get_engine(bundle, "counting", runtime, Plan(), cache)
        second = get_engine(bundle, "counting", runtime, Plan(), cache)
        brightfield, expected = bundle.reference()
        outputs = second.session.run(brightfield)
    assert (first.built, second.built, runtime.builds) == (True, False, 1)
    assert second.parity == first.parity
    assert (second.folder / "graph.onnx").is_file()
    np.testing.assert_allclose(outputs["stains"], expected["stains"])


def test_it_is_built_again_when_what_it_depends_on_changes_and_the_old_one_goes(model: Path, cache: Path) -> None:
    runtime = Counting()
    with open_bundle(model) as bundle:
        get_engine(bundle, "counting", runtime, Plan(), cache)
        before = folders(cache)
        runtime.version = "2"
        assert get_engine(bundle, "counting", runtime, Plan(), cache).built
    assert len(folders(cache)) == 1
    assert folders(cache) != before


@pytest.mark.parametrize("damage", ["graph", "record", "missing", "other key"])
def test_a_damaged_engine_is_built_again(model: Path, cache: Path, damage: str) -> None:
    runtime = Counting()
    with open_bundle(model) as bundle:
        folder = get_engine(bundle, "counting", runtime, Plan(), cache).folder
        if damage == "graph":
            data = bytearray((folder / "graph.onnx").read_bytes())
            data[len(data) // 2] ^= 1
            (folder / "graph.onnx").write_bytes(data)
        elif damage == "record":
            (folder / "engine.json").write_text("{")
        elif damage == "missing":
            (folder / "graph.onnx").unlink()
        else:
            record = json.loads((folder / "engine.json").read_text())
            record["key"]["identity"]["version"] = "9"
            (folder / "engine.json").write_text(json.dumps(record))
        assert get_engine(bundle, "counting", runtime, Plan(), cache).built
        assert not get_engine(bundle, "counting", runtime, Plan(), cache).built
    assert runtime.builds == 2


def test_an_engine_that_drifts_is_refused_and_leaves_nothing(make_model: Callable[..., Path], cache: Path) -> None:
    from vsf_export.bundle import npy

    wrong = make_model(files={"reference/expected_dfi.npy": npy(np.full(2, 0.336, np.float32))})
    with open_bundle(wrong) as bundle, pytest.raises(DriftError, match=r"dfi by 0\.0027.*not used"):
        get_engine(bundle, "onnxruntime", OnnxRuntime(), Plan(), cache)
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["onnxruntime-cpu-fp32.lock"]


def test_a_cache_that_cannot_be_written_is_told(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with open_bundle(model) as bundle, pytest.raises(EdgeError, match="cannot be written"):
        get_engine(bundle, "onnxruntime", OnnxRuntime(), Plan(), tmp_path / "file")


BUILD = """
import sys, time
from pathlib import Path
from vsf_edge.bundle import open_bundle
from vsf_edge.engines import get_engine
from vsf_edge.interfaces import Plan
from vsf_edge.runtimes.onnxruntime import OnnxRuntime

class Slow(OnnxRuntime):
    def build(self, bundle, plan, folder):
        super().build(bundle, plan, folder)
        time.sleep(0.5)

with open_bundle(Path(sys.argv[1])) as bundle:
    engine = get_engine(bundle, "slow", Slow(), Plan(), Path(sys.argv[2]))
    engine.session.run(bundle.reference()[0])
print(engine.built)
"""


def test_processes_that_need_the_same_engine_build_it_once(model: Path, cache: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(model), str(cache)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]  # fmt: skip
    answers = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], answers
    assert sorted(out.strip() for out, _ in answers) == ["False", "False", "True"]


KILLED = """
import os, signal, sys
from pathlib import Path
from vsf_edge.bundle import open_bundle
from vsf_edge.engines import get_engine
from vsf_edge.interfaces import Plan
from vsf_edge.runtimes.onnxruntime import OnnxRuntime

class Killed(OnnxRuntime):
    def build(self, bundle, plan, folder):
        super().build(bundle, plan, folder)
        os.kill(os.getpid(), signal.SIGKILL)

with open_bundle(Path(sys.argv[1])) as bundle:
    get_engine(bundle, "onnxruntime", Killed(), Plan(), Path(sys.argv[2]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_build_leaves_neither_a_lock_nor_half_an_engine(model: Path, cache: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(model), str(cache)], check=False, capture_output=True)
    assert done.returncode < 0
    assert folders(cache) == []
    with open_bundle(model) as bundle:
        assert get_engine(bundle, "onnxruntime", OnnxRuntime(), Plan(), cache).built
    assert not list(cache.rglob("*.building-*"))
