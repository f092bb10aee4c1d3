"""The TensorRT runtime on a double whose card is this computer's memory; its names against NVIDIA's real bindings.

Nothing here runs on a card: what is held is that shapes, types, addresses and copies are right, that memory grows and
is given back, that every failure is one sentence, and that no name is used which the real bindings lack.
"""

from __future__ import annotations

import ctypes
import importlib.util
import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.edge.conftest import SIDE, known_manifest
from vsf_edge.bundle import Bundle, open_bundle
from vsf_edge.engines import get_engine
from vsf_edge.errors import EdgeError
from vsf_edge.interfaces import Plan
from vsf_edge.parity import measure
from vsf_edge.runtimes import tensorrt as runtime_module
from vsf_edge.runtimes import tensorrt_building
from vsf_edge.runtimes import tensorrt_slots as slots_module
from vsf_edge.runtimes.tensorrt import TensorRt
from vsf_edge.runtimes.tensorrt_building import profile_shapes

CARD = {"cuda": "13.0", "driver": "580.1", "problem": "", "devices": [
    {"name": "Double", "compute_capability": "8.9", "multiprocessors": 1, "memory_mib": 1}]}  # fmt: skip


class Kind(IntEnum):
    cudaMemcpyHostToDevice = 1  # noqa: N815
    cudaMemcpyDeviceToHost = 2  # noqa: N815


class Cuda:
    """CUDA's runtime binding, with this computer's memory as the card's; a graph replays what was queued."""

    cudaMemcpyKind = Kind  # noqa: N815
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815
    cudaHostAllocDefault = 0  # noqa: N815

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.status = 0
        self.capturing: list[Callable[[], Any]] | None = None
        self.can_capture = True
        self.launched = 0
        self.graphs = 0

    def queue(self, act: Callable[[], Any]) -> None:
        if self.capturing is None:
            act()
        else:
            self.capturing.append(act)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int, int]:
        memory = ctypes.create_string_buffer(size)
        self.pinned[ctypes.addressof(memory)] = memory
        return 0, ctypes.addressof(memory)

    def cudaFreeHost(self, address: int) -> tuple[int]:
        del self.pinned[address]
        return (0,)

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        self.capturing = []
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, Any]:
        graph, self.capturing = self.capturing, None
        return (0, graph) if self.can_capture else (901, None)

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[int, Any]:
        self.graphs += 1
        return 0, graph

    def cudaGraphLaunch(self, graph: Any, stream: int) -> tuple[int]:
        self.launched += 1
        for act in graph:
            act()
        return (0,)

    def cudaGraphExecDestroy(self, graph: Any) -> tuple[int]:
        self.graphs -= 1
        return (0,)

    def cudaGraphDestroy(self, graph: Any) -> tuple[int]:
        return (0,)

    def cudaStreamCreate(self) -> tuple[int, int]:
        return 0, 7

    def cudaMalloc(self, size: int) -> tuple[int, ...]:
        if self.status:
            return (self.status, 0)
        memory = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(memory)] = memory
        return 0, ctypes.addressof(memory)

    def cudaFree(self, address: int) -> tuple[int]:
        del self.held[address]
        return (0,)

    def cudaMemcpyAsync(self, to: int, origin: int, size: int, kind: Kind, stream: int) -> tuple[int]:
        card = to if kind == Kind.cudaMemcpyHostToDevice else origin
        assert size <= ctypes.sizeof(self.held[card]), "a copy beyond the memory that was asked for"
        self.queue(lambda: ctypes.memmove(to, origin, size))
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        return (0,)


class Context:
    """Computes the known model: dsDNA = 2 * brightfield, ssDNA = brightfield, DFI 1/3."""

    def __init__(self, cuda: Cuda) -> None:
        self.cuda, self.shape, self.addresses = cuda, (0,), {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = shape
        return shape[0] <= 8

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {"stains": (self.shape[0], 2, *self.shape[2:]), "dfi": self.shape[:1]}[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert address in self.cuda.held
        self.addresses[name] = address
        return True

    def _view(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.frombuffer(self.cuda.held[self.addresses[name]], np.float32)[: np.prod(shape)].reshape(shape)

    def execute_async_v3(self, stream: int) -> bool:
        self.cuda.queue(self._compute)
        return True

    def _compute(self) -> None:
        brightfield = self._view("brightfield", self.shape)
        self._view("stains", self.get_tensor_shape("stains"))[:] = brightfield * np.array([[[2]], [[1]]], np.float32)
        self._view("dfi", self.shape[:1])[:] = 1 / 3


def double(cuda: Cuda, log: list[tuple[Any, ...]], **changes: Any) -> Any:
    names = ["brightfield", "stains", "dfi"]
    mode = SimpleNamespace(INPUT="in", OUTPUT="out")
    engine = SimpleNamespace(
        num_io_tensors=3,
        get_tensor_name=names.__getitem__,
        get_tensor_mode=lambda name: "in" if name == "brightfield" else "out",
        get_tensor_dtype=lambda name: "FLOAT",
        create_execution_context=lambda: Context(cuda),
    )
    network = SimpleNamespace()
    config = SimpleNamespace(
        set_memory_pool_limit=lambda *arguments: log.append(("pool", *arguments)),
        clear_flag=lambda flag: log.append(("clear", flag)),
        add_optimization_profile=lambda profile: log.append(("profile",)),
    )
    builder = SimpleNamespace(
        create_network=lambda flags: log.append(("network", flags)) or network,
        create_builder_config=lambda: config,
        create_optimization_profile=lambda: SimpleNamespace(set_shape=lambda *shape: log.append(("shape", *shape))),
        build_serialized_network=lambda network, config: b"a plan",
    )
    error = SimpleNamespace(desc=lambda: "no importer for Foo")

    class Logger:
        Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0)

    parser = SimpleNamespace(
        parse=changes.get("parse", lambda content: True), num_errors=1, get_error=lambda index: error
    )
    return SimpleNamespace(
        __version__=changes.get("version", "11.4.0.106"),
        ILogger=Logger,
        Builder=lambda logger: builder,
        OnnxParser=lambda network, logger: parser,
        NetworkDefinitionCreationFlag=SimpleNamespace(**({"STRONGLY_TYPED": 1} if changes.get("typed", True) else {})),
        MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
        BuilderFlag=SimpleNamespace(TF32="tf32"),
        TensorIOMode=mode,
        nptype=lambda dtype: np.float32,
        Runtime=lambda logger: SimpleNamespace(
            deserialize_cuda_engine=lambda content: engine if content == b"a plan" else None
        ),
    )


@pytest.fixture
def cuda() -> Cuda:
    return Cuda()


@pytest.fixture
def log() -> list[tuple[Any, ...]]:
    return []


@pytest.fixture
def bundle(model: Path) -> Iterator[Bundle]:
    with open_bundle(model) as opened:
        yield opened


@pytest.fixture
def with_card(monkeypatch: pytest.MonkeyPatch, cuda: Cuda, log: list[tuple[Any, ...]]) -> Callable[..., None]:
    def act(**changes: Any) -> None:
        monkeypatch.setattr("vsf_edge.probe.cuda", lambda: CARD)
        monkeypatch.setattr(runtime_module, "_load", lambda: (double(cuda, log, **changes), cuda))

    act()
    return act


PLAN = Plan(device="cuda")


@pytest.mark.usefixtures("with_card")
def test_the_engine_gives_the_reference_and_its_memory_back(bundle: Bundle, cuda: Cuda, tmp_path: Path) -> None:
    engine = get_engine(bundle, "tensorrt", TensorRt(), PLAN, tmp_path)
    assert (engine.folder / "model.plan").read_bytes() == b"a plan"
    cuda.held.clear()
    session = TensorRt().open(bundle, PLAN, engine.folder)
    for count in (1, 8, 3):  # the memory grows once, and a smaller batch uses it too
        brightfield = np.random.default_rng(count).uniform(0, 255, (count, 1, SIDE, SIDE)).astype(np.float32)
        outputs = session.run(brightfield)
        np.testing.assert_array_equal(outputs["stains"][:, 0], 2 * brightfield[:, 0])
        assert outputs["dfi"].shape == (count,)
    assert len(cuda.held) == 3
    session.close()
    assert cuda.held == {}
    assert measure(bundle, TensorRt().open(bundle, PLAN)).problem == ""


@pytest.mark.usefixtures("with_card")
@pytest.mark.parametrize("can_capture", [True, False])
def test_a_live_view_gets_slots_with_pinned_memory_and_captured_graphs(
    bundle: Bundle, cuda: Cuda, can_capture: bool
) -> None:
    cuda.can_capture = can_capture
    session = TensorRt().open(bundle, Plan(device="cuda", live=True))
    kept = []
    for count in (1, 8, 3, 4, 3, 2, 1):
        brightfield = np.random.default_rng(count).uniform(0, 255, (count, 1, SIDE, SIDE)).astype(np.float32)
        outputs = session.run(brightfield)
        kept.append((brightfield, outputs["stains"]))
        assert outputs["dfi"].tolist() == pytest.approx([1 / 3] * count)
    for brightfield, stains in kept:  # what was given is the caller's: no later run writes into it
        np.testing.assert_array_equal(stains[:, 0], 2 * brightfield[:, 0])
    assert len(cuda.pinned) == len(cuda.held) == 4 * 3  # for 1, 2, 4 and 8 patches: input and two outputs each
    assert (cuda.launched, cuda.graphs) == ((7, 4) if can_capture else (0, 0))
    with pytest.raises(EdgeError, match="not built for the shape"):
        session.run(np.zeros((9, 1, SIDE, SIDE), np.float32))
    session.close()
    assert cuda.pinned == cuda.held == {}
    assert cuda.graphs == 0


@pytest.mark.usefixtures("with_card")
def test_the_network_is_strongly_typed_without_tf32_and_has_its_profile(
    bundle: Bundle, log: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    TensorRt().build(bundle, PLAN, tmp_path)
    assert ("network", 1 << 1) in log
    assert ("clear", "tf32") in log
    side = (1, SIDE, SIDE)
    assert ("shape", "brightfield", (1, *side), (1, *side), (8, *side)) in log


def test_any_size_and_byte_pairs_are_in_the_profile(make_model: Callable[..., Path]) -> None:
    any_size = {"height": None, "width": None, "stride": 4, "patch_size": 16, "max_height": 64, "max_width": 32,
                "max_batch": 2, "dtype": "uint16"}  # fmt: skip
    with open_bundle(make_model({"input": {**known_manifest()["input"], **any_size}})) as opened:
        assert profile_shapes(opened.manifest) == ((1, 1, 4, 4, 2), (1, 1, 16, 16, 2), (2, 1, 64, 32, 2))


def test_failures_are_said_in_one_sentence(
    with_card: Callable[..., None], bundle: Bundle, cuda: Cuda, tmp_path: Path
) -> None:
    with pytest.raises(EdgeError, match="not built for the shape"):
        TensorRt().open(bundle, PLAN).run(np.zeros((9, 1, SIDE, SIDE), np.float32))
    cuda.status = 2
    with pytest.raises(EdgeError, match=r"cudaMalloc gives 2.*memory full"):
        TensorRt().open(bundle, PLAN).run(np.zeros((1, 1, SIDE, SIDE), np.float32))
    (tmp_path / "model.plan").write_bytes(b"of another card")
    with pytest.raises(EdgeError, match="cannot load the engine"):
        TensorRt().open(bundle, PLAN, tmp_path)
    with_card(parse=lambda content: False)
    with pytest.raises(EdgeError, match="does not take the graph \\(no importer for Foo\\)"):
        TensorRt().build(bundle, PLAN, tmp_path)
    with_card(version="8.5.3", typed=False)
    with pytest.raises(EdgeError, match=r"8\.5\.3 is too old"):
        TensorRt().build(bundle, PLAN, tmp_path)


def test_without_a_card_nothing_is_imported(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsf_edge.probe.cuda", lambda: {"devices": [], "problem": "there is no NVIDIA driver"})
    monkeypatch.setattr("importlib.import_module", lambda name: pytest.fail(f"{name} was imported without a card"))
    found = TensorRt().availability()
    assert (found.usable, found.detail) == (False, "there is no NVIDIA driver")
    with pytest.raises(EdgeError, match="cannot be used here: there is no NVIDIA driver"):
        TensorRt().open(bundle, PLAN)


NAMES = """
import ctypes, json, sys
for library in sys.argv[1:]:
    ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
import tensorrt_bindings as trt
print(json.dumps({name: dir(getattr(trt, name)) for name in dir(trt)}))
"""


def test_every_name_is_one_of_the_real_binding_of_tensorrt_11(tmp_path: Path) -> None:
    from tests.export.test_engine_builder import SYMBOLS

    compiler = shutil.which("gcc") or shutil.which("cc")
    if importlib.util.find_spec("tensorrt_bindings") is None or compiler is None:
        pytest.skip("no C compiler, or no binding: pip install --no-deps tensorrt_cu13_bindings==11.4.0.106")
    libraries = []
    for name, symbols in SYMBOLS.items():
        (tmp_path / f"{name}.c").write_text(
            "".join(f"void *{symbol}() {{ return 0; }}\n" for symbol in symbols.split())
        )
        library = tmp_path / f"lib{name}.so.11"
        flags = ["-shared", "-fPIC", "-w", f"-Wl,-soname,{library.name}", "-o", str(library)]
        subprocess.run([compiler, *flags, str(tmp_path / f"{name}.c")], check=True)
        libraries.append(str(library))
    answer = subprocess.run([sys.executable, "-c", NAMES, *libraries], capture_output=True, text=True, check=True)
    real: dict[str, list[str]] = json.loads(answer.stdout)
    source = "".join(map(inspect.getsource, (runtime_module, tensorrt_building, slots_module)))
    used = {
        "Runtime": r"_runtime\.(\w+)",
        "ICudaEngine": r"_engine\.(\w+)",
        "IExecutionContext": r"_context\.(\w+)",
        "TensorIOMode": r"TensorIOMode\.(\w+)",
        "Builder": r"\bbuilder\.(\w+)",
        "IBuilderConfig": r"\bconfig\.(\w+)",
        "OnnxParser": r"\bparser\.(\w+)",
        "IOptimizationProfile": r"\bprofile\.(\w+)",
        "MemoryPoolType": r"MemoryPoolType\.(\w+)",
    }
    for kind, pattern in used.items():
        names = set(re.findall(pattern, source))
        assert names, kind
        assert names <= set(real[kind]), kind
    assert set(re.findall(r"\b_?trt\.([A-Za-z]\w+)", source)) <= set(real)


def test_every_name_is_one_of_cudas_real_binding() -> None:
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        pytest.skip("the binding is absent: pip install --no-deps cuda-bindings")
    names = (
        "import cuda.bindings.runtime as c, json\n"
        "print(json.dumps(dir(c) + dir(c.cudaMemcpyKind) + dir(c.cudaStreamCaptureMode)))"
    )
    answer = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip(f"cuda.bindings cannot be imported here: {answer.stderr.splitlines()[-1]}")
    source = inspect.getsource(runtime_module) + inspect.getsource(slots_module)
    used = set(re.findall(r"\bcuda[A-Z]\w+", source))
    assert len(used) >= 16
    assert used <= set(json.loads(answer.stdout))
