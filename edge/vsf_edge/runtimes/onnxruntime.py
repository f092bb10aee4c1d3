"""ONNX Runtime: runs everywhere, on the CPU or through its providers for NVIDIA's GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsf_edge import probe
from vsf_edge.border import check_names, encode, from_graph, output_names
from vsf_edge.bundle import Bundle
from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.interfaces import Array, Availability, Counts, Plan
from vsf_edge.machine import cpu_features, cpu_name, installed

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "tensorrt-rtx": "NvTensorRTRTXExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""ONNX Runtime's provider of each device, the one to prefer first. Which is fastest is measured (`vsf_edge.choice`)."""

PRECISIONS = dict.fromkeys(PROVIDERS, ("fp16", "fp32", "int8")) | {"cpu": ("fp32", "int8", "fp16")}

BUILDS = tuple(f"onnxruntime{kind}" for kind in ("", "-gpu", "-directml", "-openvino", "-qnn", "-rocm", "-migraphx"))
"""What installs the module ``onnxruntime``. By name: looking through everything that is installed takes 0.3 s."""

GRAPH = "graph.onnx"


class OnnxRuntime:
    """The runtime ``onnxruntime``."""

    def availability(self) -> Availability:
        """Say which version is installed and which of its providers will run here."""
        try:
            import onnxruntime

            providers = list(onnxruntime.get_available_providers())
        except Exception as error:
            return Availability(
                usable=False,
                detail=f"cannot be imported: {brief(error)}",
                advice="pip install onnxruntime",
                facts={"version": None, "providers": []},
            )
        gpu = bool(probe.cuda()["devices"])
        devices = {
            device: PRECISIONS[device]
            for device, provider in PROVIDERS.items()
            if provider in providers and (gpu or device == "cpu")
        }
        version = str(onnxruntime.__version__)
        return Availability(
            usable=bool(devices),
            detail=f"{version} with {', '.join(providers)}",
            advice="" if devices else "pip install --force-reinstall onnxruntime",
            facts={"version": version, "providers": providers, "distributions": sorted(_builds())},
            devices=devices,
        )

    def identity(self, plan: Plan) -> Mapping[str, str]:
        """Give the installed builds, and the processor or the GPU that an optimised graph is made for."""
        builds = ", ".join(f"{name} {version}" for name, version in sorted(_builds().items()))
        if plan.device == "cpu":
            return {"onnxruntime": builds, "cpu": cpu_name(), "features": " ".join(cpu_features())}
        return {"onnxruntime": builds, "gpu": repr(probe.cuda())}

    def build(self, bundle: Bundle, plan: Plan, folder: Path) -> None:
        """Write the optimised graph; TensorRT's providers put their engines beside it."""
        _session(bundle, plan, folder, built=False)

    def open(self, bundle: Bundle, plan: Plan = Plan(), engine: Path | None = None) -> OnnxSession:  # noqa: B008
        """Load the graph of `bundle`, the optimised one of `engine` where it is given."""
        return OnnxSession(bundle, _session(bundle, plan, engine, built=engine is not None))


class OnnxSession:
    """A graph loaded by ONNX Runtime."""

    def __init__(self, bundle: Bundle, session: Any) -> None:
        self._session = session
        self._manifest = bundle.manifest
        self._outputs = output_names(bundle.manifest)
        self._path = bundle.path
        inputs = [item.name for item in session.get_inputs()]
        check_names(bundle.manifest, inputs, [item.name for item in session.get_outputs()], bundle.path)

    def run(self, brightfield: Counts) -> Mapping[str, Array]:
        """Stain `brightfield` [N, C, H, W] in counts."""
        counts = encode(brightfield, self._manifest.input_dtype)
        try:
            # bound, the graph reads from these counts and the arrays that are given back are what it wrote into
            binding = self._session.io_binding()
            binding.bind_cpu_input(self._manifest.input_name, counts)
            for name in self._outputs:
                binding.bind_output(name, "cpu")
            self._session.run_with_iobinding(binding)
            values = [value.numpy() for value in binding.get_outputs()]
        except Exception as error:  # its exceptions have no common base beside Exception
            raise EdgeError(f"ONNX Runtime failed on {self._path}: {_first_line(error)}") from error
        return from_graph(dict(zip(self._outputs, values, strict=True)), self._manifest)


def _session(bundle: Bundle, plan: Plan, folder: Path | None, built: bool) -> Any:
    """Make a session; `folder` is where an optimised graph is read from (`built`) or written to."""
    try:
        import onnxruntime
    except ImportError as error:
        raise EdgeError(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error
    provider = PROVIDERS.get(plan.device)
    if provider is None:
        raise EdgeUsageError(f"onnxruntime knows no device {plan.device!r}; it knows {', '.join(PROVIDERS)}")
    if provider not in onnxruntime.get_available_providers():
        raise EdgeError(
            f"this build of ONNX Runtime has no {provider} for the device {plan.device}: install onnxruntime-gpu"
        )
    options = onnxruntime.SessionOptions()
    if plan.streams > 1:
        options.intra_op_num_threads = max(1, (os.cpu_count() or 1) // plan.streams)
    if plan.live:  # threads that spin while they wait for the next layer take the other stages' processor time
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # its warnings are about its own optimiser, not about the model
    graph: Any = None
    if folder is not None and (folder / GRAPH).is_file() and built:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        graph = str(folder / GRAPH)
    elif folder is not None and plan.device in ("cpu", "cuda"):
        options.optimized_model_filepath = str(folder / GRAPH)  # TensorRT's providers keep engines, not graphs
    try:
        session = onnxruntime.InferenceSession(
            bundle.model(plan.precision) if graph is None else graph,
            options,
            providers=_providers(plan.device, folder),
        )
    except Exception as error:
        if isinstance(error, EdgeError):
            raise
        raise EdgeError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load the graph of {bundle.path}: {_first_line(error)}"
        ) from error
    if session.get_providers()[0] != provider:  # it falls back to the CPU with a warning only
        raise EdgeError(
            f"ONNX Runtime could not start {provider} and would run {bundle.path} on the CPU: see 'vsf-edge doctor'"
        )
    return session


def _providers(device: str, folder: Path | None) -> list[tuple[str, dict[str, str]]]:
    """Give the provider with its engine cache, then those that take what it does not."""
    options: dict[str, str] = {}
    if folder is not None and device == "tensorrt":
        options = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
    if folder is not None and device == "tensorrt-rtx":
        options = {"nv_runtime_cache_path": str(folder)}
    rest = {"tensorrt": ("cuda", "cpu"), "tensorrt-rtx": ("cpu",), "cuda": ("cpu",)}.get(device, ())
    return [(PROVIDERS[device], options), *((PROVIDERS[other], {}) for other in rest)]


def _builds() -> dict[str, str]:
    """Give the installed builds and versions: two of them overwrite each other's files, which ``doctor`` reports."""
    return installed(*BUILDS)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return brief(Exception(lines[0])) if lines else type(error).__name__
