"""TensorRT itself, for NVIDIA's cards and Jetsons (extra ``tensorrt``): engines built on the card that runs them.

CUDA is probed in another process before anything of TensorRT is imported: its lean runtime ends the process where there
is no card. Memory and copies go through NVIDIA's own binding ``cuda.bindings``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge import probe
from vsf_edge.border import check_names, encode, from_graph, output_names
from vsf_edge.bundle import Bundle
from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.interfaces import Array, Availability, Counts, Plan
from vsf_edge.machine import installed
from vsf_edge.runtimes.tensorrt_building import build_plan, make_logger, profile_shapes
from vsf_edge.runtimes.tensorrt_slots import Slots

PLAN = "model.plan"
INSTALL = "pip install 'vsf-edge[tensorrt]'"
DISTRIBUTIONS = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-lean", "tensorrt-dispatch")


class TensorRt:
    """The runtime ``tensorrt``."""

    def availability(self) -> Availability:
        """Say whether there is a card, and which TensorRT is installed; loads it only where there is a card."""
        facts: dict[str, Any] = {"distributions": installed(*DISTRIBUTIONS)}
        problem = _problem()
        if problem:
            return Availability(usable=False, detail=problem, facts=facts)
        try:
            trt, _ = _load()
        except EdgeError as error:
            return Availability(usable=False, detail=str(error), facts=facts)
        names = ", ".join(device["name"] for device in probe.cuda()["devices"])
        return Availability(
            usable=True,
            detail=f"{trt.__version__} on {names}",
            facts={**facts, "version": str(trt.__version__)},
            devices={"cuda": ("fp16", "fp32", "int8")},
        )

    def identity(self, plan: Plan) -> Mapping[str, str]:
        """Give TensorRT's version (all four parts), and driver, name, capability and multiprocessors of the card."""
        return {**installed(*DISTRIBUTIONS), "gpu": repr(probe.cuda())}

    def build(self, bundle: Bundle, plan: Plan, folder: Path) -> None:
        """Write the raw plan; what it was built for stands in the cache's record beside it."""
        try:
            (folder / PLAN).write_bytes(self._build(bundle, plan))
        except OSError as error:
            raise EdgeError(f"{folder / PLAN} cannot be written: {error.strerror or error}") from error

    def open(self, bundle: Bundle, plan: Plan = Plan(), engine: Path | None = None) -> TensorRtSession:  # noqa: B008
        """Load the plan of `engine`; without one, build it in memory first."""
        if engine is None or not (engine / PLAN).is_file():
            return TensorRtSession(bundle, *_load(), self._build(bundle, plan), plan.live)
        _check(plan)
        return TensorRtSession(bundle, *_load(), (engine / PLAN).read_bytes(), plan.live)

    def _build(self, bundle: Bundle, plan: Plan) -> bytes:
        _check(plan)
        trt, _ = _load()
        return build_plan(trt, bundle.model(plan.precision), plan.precision, bundle.manifest)


class TensorRtSession:
    """An engine on the card, with memory that grows to the largest batch seen."""

    def __init__(self, bundle: Bundle, trt: Any, cudart: Any, content: bytes, live: bool = False) -> None:
        self._trt, self._cudart = trt, cudart
        self._manifest, self._path = bundle.manifest, bundle.path
        self._memory: dict[str, tuple[int, int]] = {}  # address and bytes on the card, by tensor
        logger = make_logger(trt)
        self._runtime = trt.Runtime(logger)  # the engine needs it for as long as it lives
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise EdgeError(f"TensorRT {trt.__version__} cannot load the engine of {self._path}{logger.words()}")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EdgeError(f"the card has no memory left for {self._path}{logger.words()}")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        check_names(self._manifest, inputs, [name for name in names if name not in inputs], self._path)
        self._outputs = [name for name in names if name not in inputs]  # every one needs an address, wanted or not
        (self._stream,) = self._cuda("cudaStreamCreate")
        self._slots = self._make_slots() if live else None

    def run(self, brightfield: Counts) -> Mapping[str, Array]:
        """Stain `brightfield` [N, C, H, W] in counts."""
        frames = encode(brightfield, self._manifest.input_dtype)
        if self._slots is not None:
            found = self._slots.run(frames)
            return from_graph({name: found[name] for name in output_names(self._manifest)}, self._manifest)
        name = self._manifest.input_name
        if not self._context.set_input_shape(name, frames.shape):
            raise EdgeError(
                f"the engine of {self._path} was not built for the shape {frames.shape}: cut smaller images"
            )
        kinds = self._cudart.cudaMemcpyKind
        self._copy(self._on_card(name, frames.nbytes), frames.ctypes.data, frames.nbytes, kinds.cudaMemcpyHostToDevice)
        results: dict[str, npt.NDArray[Any]] = {}
        for output in self._outputs:
            dtype = self._trt.nptype(self._engine.get_tensor_dtype(output))
            results[output] = np.empty(tuple(self._context.get_tensor_shape(output)), dtype)
            self._on_card(output, results[output].nbytes)
        if not self._context.execute_async_v3(int(self._stream)):
            raise EdgeError(f"TensorRT failed on {self._path}: see 'vsf-edge inspect {self._path} --check'")
        for output, values in results.items():
            self._copy(values.ctypes.data, self._memory[output][0], values.nbytes, kinds.cudaMemcpyDeviceToHost)
        self._cuda("cudaStreamSynchronize", self._stream)
        wanted = output_names(self._manifest)
        return from_graph({output: results[output] for output in wanted}, self._manifest)

    def close(self) -> None:
        """Give the memory on the card back."""
        for address, _ in self._memory.values():
            self._cuda("cudaFree", address)
        self._memory.clear()
        if self._slots is not None:
            self._slots.close()

    def _make_slots(self) -> Slots:
        return Slots(
            call=self._cuda,
            cudart=self._cudart,
            make_context=self._engine.create_execution_context,
            dtype_of=lambda name: self._trt.nptype(self._engine.get_tensor_dtype(name)),
            tensor=self._manifest.input_name,
            outputs=self._outputs,
            largest_batch=profile_shapes(self._manifest)[2][0],
        )

    def _on_card(self, name: str, size: int) -> int:
        """Give the address of a tensor on the card, with room for `size` bytes, and tell the context."""
        address, room = self._memory.get(name, (0, 0))
        if size > room or not address:
            if address:
                self._cuda("cudaFree", address)
                del self._memory[name]
            (address,) = self._cuda("cudaMalloc", max(size, 1))
            self._memory[name] = (int(address), max(size, 1))
        address = self._memory[name][0]
        if not self._context.set_tensor_address(name, address):
            raise EdgeError(f"the engine of {self._path} does not take the tensor {name}: build it again")
        return address

    def _copy(self, to: int, origin: int, size: int, kind: Any) -> None:
        self._cuda("cudaMemcpyAsync", to, origin, size, kind, self._stream)

    def _cuda(self, function: str, *arguments: Any) -> tuple[Any, ...]:
        """Call CUDA and give what it gives beside its status."""
        status, *values = getattr(self._cudart, function)(*arguments)
        if int(status):
            raise EdgeError(f"{function} gives {status} on {self._path}: is the card's memory full?")
        return tuple(values)


def _problem() -> str:
    """Say what is missing, without importing anything that could crash; empty where nothing is."""
    found = probe.cuda()
    if not found["devices"]:
        return str(found["problem"])
    if importlib.util.find_spec("tensorrt") is None:
        return f"not installed: {INSTALL}"
    return ""


def _check(plan: Plan) -> None:
    if plan.device != "cuda":
        raise EdgeUsageError(f"tensorrt knows no device {plan.device!r}; it knows cuda")


def _load() -> tuple[Any, Any]:
    """Import TensorRT and CUDA's binding, where there is a card.

    Raises
    ------
    EdgeError
        Where there is none, or one of them is missing.
    """
    problem = _problem()
    if problem:
        raise EdgeError(f"TensorRT cannot be used here: {problem}")
    try:
        return importlib.import_module("tensorrt"), importlib.import_module("cuda.bindings.runtime")
    except Exception as error:
        raise EdgeError(f"TensorRT cannot be loaded ({brief(error)}): {INSTALL}") from error
