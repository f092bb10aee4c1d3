"""The builder of engines touches nothing that TensorRT 8.6, 10 or 11 does not have, and says in words what failed.

8.6 and 10 are doubles of names and arities. 11.4 is NVIDIA's real Python binding: imported over a library of empty
functions that this test compiles, it gives every class, enumeration and signature, and a double is made of those.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vsf_export.engine_builder import BuildOptions, build_plan
from vsf_export.targets.tensorrt_engine import check_types, machine_problem
from vsf_export.tracing import Limits
from vsframework import VsfError

PATCHES = Limits(channels=1, stride=32, size=256, max_side=256, max_batch=8)
ANY_SIZE = Limits(channels=1, stride=32, size=256, max_side=2048, max_batch=8)

SYMBOLS = {
    "nvinfer": ("createInferBuilder_INTERNAL createInferRefitter_INTERNAL createInferRuntime_INTERNAL "
                "getBuilderPluginRegistry getPluginRegistry"),
    "nvinfer_plugin": "initLibNvInferPlugins",
    "nvonnxparser": "createNvOnnxParserRefitter_INTERNAL createNvOnnxParser_INTERNAL getNvOnnxParserVersion",
}  # fmt: skip

PROBE = r"""
import ctypes, json, sys
for library in sys.argv[1:]:
    ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
import tensorrt_bindings as trt

def members(kind):
    return {name: getattr(getattr(kind, name), "__doc__", None) if callable(getattr(kind, name)) else None
            for name in dir(kind) if not name.startswith("_")}

kinds = ["Builder", "INetworkDefinition", "ILayer", "ITensor", "OnnxParser", "ParserError", "IOptimizationProfile",
         "ITimingCache", "IBuilderConfig", "IProgressMonitor"]
enums = ["MemoryPoolType", "ProfilingVerbosity", "LayerType", "NetworkDefinitionCreationFlag", "BuilderFlag",
         "HardwareCompatibilityLevel"]
surface = {name: members(getattr(trt, name)) for name in kinds}
surface |= {name: dict.fromkeys(getattr(trt, name).__members__) for name in enums}
from vsf_edge.runtimes.tensorrt_building import make_logger
from vsf_export.engine_builder import BuildOptions, build_plan, make_monitor
from vsf_export.tracing import Limits
told = []
logger = make_logger(trt)
logger.log(trt.ILogger.Severity.ERROR, "no card")
assert logger.words() == " (no card)"
monitor = make_monitor(trt, told.append)
monitor.phase_start("Building", None, 40)
assert monitor.step_complete("Building", 20)
monitor.phase_finish("Building")
limits = Limits(channels=1, stride=32, size=256, max_side=256, max_batch=8)
try:
    build_plan(trt, b"", BuildOptions(precision="fp32", limits=limits))
    failure = ""
except Exception as error:
    failure = f"{type(error).__name__}: {error}"
print(json.dumps({"version": trt.__version__, "surface": surface, "told": told, "failure": failure}))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the real binding of TensorRT 11.4 has, and how our builder fares with it where there is no card."""
    if importlib.util.find_spec("tensorrt_bindings") is None:
        pytest.skip("the binding is absent: pip install --no-deps tensorrt_cu13_bindings==11.4.0.106")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for the empty library")
    folder = tmp_path_factory.mktemp("stub")
    libraries = []
    for name, symbols in SYMBOLS.items():
        source, library = folder / f"{name}.c", folder / f"lib{name}.so.11"
        source.write_text("".join(f"void *{symbol}() {{ return 0; }}\n" for symbol in symbols.split()))
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-w", f"-Wl,-soname,{library.name}", "-o", library, source], check=True
        )
        libraries.append(str(library))
    answer = subprocess.run([sys.executable, "-c", PROBE, *libraries], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def surface_of(real: dict[str, Any]) -> dict[str, dict[str, int | None]]:
    """Turn signatures, as pybind writes them, into numbers of arguments."""
    return {
        kind: {name: arity(name, doc) if doc else None for name, doc in members.items()}
        for kind, members in real["surface"].items()
    }


def arity(name: str, doc: str) -> int | None:
    """Count the arguments that have to be given (which, for what we call, are all)."""
    found = re.search(rf"{name}\(self: [\w.]+(.*?)\) -> ", doc)
    if found is None:
        return None
    flat = re.sub(r"\[[^\[\]]*(\[[^\[\]]*\][^\[\]]*)*\]", "", found[1])
    given = [part for part in flat.split(",")[1:] if "path" not in part]  # parse() may be told where the file lies
    return sum("=" not in part or name == "create_network" for part in given)


@pytest.fixture(params=["8.6.1.6", "10.13.3", "11.4.0.106"])
def tensorrt(request: pytest.FixtureRequest, double: Any) -> Any:
    """A maker of the double of each version."""
    surfaces = {"8": double.TENSORRT_8_6, "10": double.TENSORRT_10}
    surface = surfaces.get(request.param.partition(".")[0])
    if surface is None:
        surface = surface_of(request.getfixturevalue("real"))
    return lambda **changes: double.make(request.param, surface, **changes)


def options(**changes: Any) -> BuildOptions:
    return BuildOptions(**{"precision": "fp16", "limits": PATCHES, **changes})


def test_every_name_and_signature_exists_in_this_version(tensorrt: Any, tmp_path: Path) -> None:
    module, log = tensorrt()
    cache = tmp_path / "timings.bin"
    plan = build_plan(
        module,
        b"onnx",
        options(hardware="ampere-plus", version_compatible=True, timing_cache=cache, workspace_mib=64),
    )
    assert plan.content == b"plan"
    assert plan.convolutions == {"HALF": 1}
    assert cache.read_bytes() == b"timings"
    assert log.of("set_memory_pool_limit") == [(module.MemoryPoolType.WORKSPACE, 64 << 20)]
    assert log.of("clear_flag") == [(module.BuilderFlag.TF32,)]
    flags = {arguments[0].name for arguments in log.of("set_flag")}
    typed = hasattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    assert flags == {"VERSION_COMPATIBLE"} | (set() if typed else {"FP16"})
    kinds = module.NetworkDefinitionCreationFlag
    expected = {name for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if name in kinds.__members__}
    (created,) = log.of("create_network")
    assert {kind.name for kind in kinds if created[0] >> kind.value & 1} == expected
    assert log.of("set_shape") == [("brightfield", (1, 1, 256, 256), (1, 1, 256, 256), (8, 1, 256, 256))]
    assert ("progress_monitor" in log.set) == ("IProgressMonitor" in dir(module))


def test_int8_gets_its_flag_only_where_the_graph_cannot_say_it(tensorrt: Any) -> None:
    module, log = tensorrt()
    build_plan(module, b"onnx", options(precision="int8"))
    typed = hasattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    assert [arguments[0].name for arguments in log.of("set_flag")] == ([] if typed else ["INT8"])


def test_any_size_and_byte_pairs_are_in_the_profile(tensorrt: Any) -> None:
    module, log = tensorrt()
    build_plan(module, b"onnx", options(limits=ANY_SIZE, byte_pairs=True, usual_batch=2))
    assert log.of("set_shape") == [("brightfield", (1, 1, 32, 32, 2), (2, 1, 256, 256, 2), (8, 1, 2048, 2048, 2))]


def test_a_cache_of_another_card_is_replaced(tensorrt: Any, tmp_path: Path) -> None:
    cache = tmp_path / "timings.bin"
    cache.write_bytes(b"of another card")
    module, log = tensorrt(**{"IBuilderConfig.set_timing_cache": lambda *_: False})
    build_plan(module, b"onnx", options(timing_cache=cache))
    assert log.of("create_timing_cache") == [(b"of another card",), (b"",)]
    assert cache.read_bytes() == b"timings"


def test_what_fails_is_said_in_the_builders_words(tensorrt: Any) -> None:
    module, _ = tensorrt(**{"OnnxParser.parse": lambda content: False})
    with pytest.raises(VsfError, match="does not take the graph \\(no importer for Foo\\)"):
        build_plan(module, b"onnx", options())

    def fails(network: Any, config: Any) -> None:
        module.logger.log(module.ILogger.Severity.ERROR, "out of\nmemory")
        module.logger.log(module.ILogger.Severity.INFO, "not this")

    module, _ = tensorrt(**{"Builder.build_serialized_network": fails})
    with pytest.raises(VsfError, match=r"could not build the fp16 engine \(out of memory\)"):
        build_plan(module, b"onnx", options())


def test_what_a_version_lacks_is_said(double: Any) -> None:
    module, _ = double.make("8.6.1", double.TENSORRT_8_6)
    with pytest.raises(VsfError, match="cannot build for hardware = same-capability"):
        build_plan(module, b"onnx", options(hardware="same-capability"))
    module, _ = double.make("8.5.3", double.TENSORRT_8_6)
    with pytest.raises(VsfError, match=r"8\.5\.3 is too old: 8\.6"):
        build_plan(module, b"onnx", options())


def test_a_half_engine_that_is_float_is_refused(tensorrt: Any) -> None:
    module, _ = tensorrt()
    plan = build_plan(module, b"onnx", options())
    check_types(plan, "fp16")
    with pytest.raises(VsfError, match="not what its name says"):
        check_types(plan, "fp32")


def test_the_real_binding_without_a_card_ends_in_one_sentence(real: dict[str, Any]) -> None:
    assert real["version"].startswith("11.4")
    assert real["failure"].startswith("VsfError: TensorRT 11.4")
    assert "gives no builder on this machine" in real["failure"]
    assert real["told"] == ["Building: 40 steps", "Building: 20 of 40"]
    assert "EXPLICIT_BATCH" not in real["surface"]["NetworkDefinitionCreationFlag"]
    assert "FP16" not in real["surface"]["BuilderFlag"]


def test_a_machine_that_cannot_build_says_why_before_anything_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from vsf_export.targets import tensorrt_engine

    none: dict[str, Any] = {"driver_library": None, "jetson": False, "problem": "", "devices": []}
    monkeypatch.setattr(tensorrt_engine, "nvidia", lambda: none)
    assert "is not installed: pip install" in machine_problem("no_such_tensorrt")
    assert "no NVIDIA driver" in machine_problem("json")
    monkeypatch.setattr(tensorrt_engine, "nvidia", lambda: {**none, "driver_library": "libcuda.so.1"})
    assert "finds no card" in machine_problem("json")
    monkeypatch.setattr(tensorrt_engine, "nvidia", lambda: {**none, "driver_library": "x", "problem": "mismatch"})
    assert "does not answer (mismatch)" in machine_problem("json")
    monkeypatch.setattr(tensorrt_engine, "nvidia", lambda: {**none, "driver_library": "x", "devices": ["H100"]})
    assert machine_problem("json") == ""
    assert "json" in sys.modules  # it was looked for by name only
