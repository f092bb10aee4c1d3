"""The known model as the live loop takes it, and a loop around it with a scripted source."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.detectors.heads import Heads
from vsf_edge.interfaces import Sink, Source
from vsf_edge.live.parts import Parts
from vsf_edge.live.session import LiveLoop
from vsf_edge.live.settings import LoopSettings
from vsf_edge.runtimes.onnxruntime import OnnxRuntime
from vsf_export.bundle import write_bundle

HERE = Path(__file__).parent


def _module(name: str, path: Path) -> ModuleType:
    """Load a file that no package holds."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


live_doubles = _module("live_doubles", HERE / "live_doubles.py")
known = _module("known_model", HERE.parents[1] / "edge" / "conftest.py")


@pytest.fixture
def live_model(tmp_path: Path) -> Callable[..., Path]:
    """Write the known model (dsDNA = 2 * brightfield, ssDNA = brightfield, DFI 1/3) for a live view."""

    def make(**changes: Any) -> Path:
        path = tmp_path / "live.vsf"
        manifest = known.known_manifest()
        manifest["input"] |= {"field_px": live_doubles.FIELD_PX, **changes.pop("input", {})}
        files = known.known_files()
        if manifest["input"]["height"] is None:
            files["model.fp32.onnx"] = known.known_graph("rows", "columns")
        write_bundle(path, {**manifest, **changes}, files)
        return path

    return make


@pytest.fixture
def bundle(live_model: Callable[..., Path]) -> Iterator[Bundle]:
    with open_bundle(live_model()) as opened:
        yield opened


@pytest.fixture
def make_loop(bundle: Bundle, tmp_path: Path) -> Callable[..., LiveLoop]:
    """Build the real loop with ONNX Runtime and the real detector around a `source` and `sinks`."""

    def make(
        source: Source, sinks: dict[str, Sink], model: Bundle = bundle, session: Any = None, **settings: Any
    ) -> Any:
        parts = Parts(
            bundle=model,
            session=session or OnnxRuntime().open(model),
            reopen=settings.pop("reopen", lambda: OnnxRuntime().open(model)),
            engine="onnxruntime:cpu fp32",
            source=source,
            source_name="script",
            make_detector=lambda length: Heads(head_length=length),
            sinks=sinks,
            make_recording=settings.pop("make_recording", lambda folder: live_doubles.KeepingSink()),
        )
        quick = {"stall_s": 0.3, "last_retry_s": 0.4, "folder": tmp_path / "recordings"}
        return LiveLoop(parts, LoopSettings(**{**quick, **settings}))

    return make
