"""`vsf-edge build`, `bench` and `doctor MODEL`, and the clock of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.edge.conftest import known_graph, known_manifest
from vsf_edge import probe
from vsf_edge.bench import bench_patches, time_session
from vsf_edge.bundle import open_bundle
from vsf_edge.doctor import speed_class
from vsf_edge.errors import EdgeError, EdgeUsageError

Command = Callable[..., tuple[int, str, str]]


def test_build_fills_the_cache_and_says_what_was_chosen_and_why(
    vsf_edge: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSF_EDGE_CACHE", str(tmp_path / "cache"))
    code, out, err = vsf_edge("build", model, "--json")
    assert code == 0, err
    first = json.loads(out)
    assert first["built"]
    assert first["parity"]["dfi_max_abs"] < 0.002
    assert set(first["measured_ms"]) == {"onnxruntime:cpu fp32", "openvino:cpu fp32"}
    assert Path(first["folder"]).is_relative_to(tmp_path / "cache")
    code, out, _ = vsf_edge("build", model)
    assert "in the cache" in out
    assert "the fastest for one patch here" in out
    code, out, _ = vsf_edge("build", model, "--again", "--runtime", "openvino", "--json")
    assert json.loads(out)["runtime"] == "openvino"
    assert json.loads(out)["built"]


def test_bench_states_its_protocol_and_gives_percentiles(vsf_edge: Command, model: Path) -> None:
    code, out, err = vsf_edge(
        "bench", model, "--runtime", "onnxruntime", "--runs", "20", "--batch", "1", "--batch", "3", "--json"
    )
    assert code == 0, err
    document = json.loads(out)
    assert "copies to and from the device included" in document["protocol"]
    assert [timing["batch"] for timing in document["timings"]] == [1, 3]
    for timing in document["timings"]:
        assert 0 < timing["p50_ms"] <= timing["p95_ms"] <= timing["p99_ms"]
        assert timing["runs"] == 20
    code, out, _ = vsf_edge("bench", model, "--runs", "5", "--runtime", "onnxruntime")
    assert "p99 ms" in out
    code, _, err = vsf_edge("bench", model, "--size", "32")
    assert code == 2
    assert "leave --size out" in err


def test_the_warm_up_is_not_timed_and_has_the_timed_shape() -> None:
    now = 0.0
    shapes = []

    class Clocked:
        def run(self, brightfield: Any) -> Mapping[str, Any]:
            nonlocal now
            now += 5.0 if len(shapes) < 3 else 0.01 * (1 + len(shapes))
            shapes.append(brightfield.shape)
            return {}

    patches = np.zeros((2, 1, 4, 4), np.float32)
    timing = time_session(Clocked(), patches, runs=5, warm_up=3, clock=lambda: now)
    assert set(shapes) == {(2, 1, 4, 4)}
    assert len(shapes) == 8
    assert timing.p50_ms == pytest.approx(60)
    assert timing.mean_ms == pytest.approx(60)
    assert timing.images_per_s == pytest.approx(2 * 5 / 0.3)


def test_patches_of_another_size_are_cut_or_tiled(make_model: Callable[..., Path]) -> None:
    limits = {"height": None, "width": None, "stride": 4, "max_height": 40, "max_width": 40, "max_batch": 4}
    with open_bundle(make_model({"input": {**known_manifest()["input"], **limits, "dtype": "uint8"}})) as bundle:
        reference, manifest = bundle.reference()[0], bundle.manifest
    assert bench_patches(reference, manifest, 3).shape == (3, 1, 16, 16)
    wide = bench_patches(reference, manifest, 1, 36)
    assert wide.dtype == np.uint8
    np.testing.assert_array_equal(wide[0, 0, 16:32, :16], reference[0, 0])
    for wrong, match in (((5, None), "at most 4"), ((1, 44), "up to 40"), ((1, 18), "multiples of 4")):
        with pytest.raises(EdgeUsageError, match=match):
            bench_patches(reference, manifest, *wrong)


def test_doctor_says_which_precisions_of_a_model_will_run(vsf_edge: Command, make_model: Callable[..., Path]) -> None:
    names = {"fp32": "model.fp32.onnx", "int8": "model.int8.onnx", "fp4": "model.fp4.onnx"}
    model = make_model({"model": {"files": names}}, dict.fromkeys(names.values(), known_graph()))
    code, out, _ = vsf_edge("doctor", model, "--json")
    assert code == 0
    ways = json.loads(out)["model"]
    assert {"onnxruntime:cpu", "openvino:cpu"} <= set(ways["fp32"])
    assert ways["fp4"] == []


def test_a_probe_that_crashes_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moody.py").write_text(
        "import os, signal, time\n"
        "class Crashes:\n    def __init__(self): os.kill(os.getpid(), signal.SIGABRT)\n"
        "class Hangs:\n    def __init__(self): time.sleep(60)\n"
        "class Quits:\n    def __init__(self): os._exit(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EdgeError, match="crashed"):
        probe.ask("runtime", "moody:Crashes")
    with pytest.raises(EdgeError, match="did not answer within 2 s"):
        probe.ask("runtime", "moody:Hangs", timeout=2)
    with pytest.raises(EdgeError, match="code 3"):
        probe.ask("runtime", "moody:Quits")


def test_the_speed_class_follows_its_rule() -> None:
    speed = speed_class(seconds=0.01)
    assert speed["paper_patch_ms_at_least"] == pytest.approx(1000 * 23.8 / speed["sgemm_gflop_per_s"], rel=0.05)
