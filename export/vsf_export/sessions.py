"""Runs a graph in ONNX Runtime and in OpenVINO, to compare both with torch before anything is handed out."""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_export.staining_graph import INPUT
from vsframework import VsfError

Outputs = dict[str, npt.NDArray[Any]]
Session = Callable[[npt.NDArray[Any]], Outputs]


def onnx_runtime(content: bytes, threads: int = 0) -> Session:
    """Load an ONNX model in ONNX Runtime on the processor; `threads` 0 leaves the choice to it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its warnings are about its own optimiser, not about the model
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(frames: npt.NDArray[Any]) -> Outputs:
        return dict(zip(names, session.run(names, {INPUT: frames}), strict=True))

    return run


def openvino(content: bytes, threads: int = 0) -> Session:
    """Load an ONNX model in OpenVINO on the processor, float32 where the model does not say less."""
    core = importlib.import_module("openvino").Core()
    return compiled(core, core.read_model(io.BytesIO(content)), threads)


def compiled(core: Any, model: Any, threads: int = 0) -> Session:
    """Compile an OpenVINO `model` for the processor."""
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    request = core.compile_model(model, "CPU", settings)
    names = [output.get_any_name() for output in request.outputs]
    infer = request.create_infer_request()

    def run(frames: npt.NDArray[Any]) -> Outputs:
        result = infer.infer([frames], share_inputs=True)
        return {name: np.array(result[index]) for index, name in enumerate(names)}

    return run


RUNTIMES: Mapping[str, Callable[[bytes], Session]] = {"onnxruntime": onnx_runtime, "openvino": openvino}


def installed() -> list[str]:
    """Name the runtimes of this machine; ONNX Runtime is always there."""
    return [name for name in RUNTIMES if importlib.util.find_spec(name) is not None]


def load(name: str, content: bytes) -> Session:
    """Load `content` in the runtime `name`.

    Raises
    ------
    VsfError
        When it refuses the model.
    """
    try:
        return RUNTIMES[name](content)
    except Exception as error:  # neither runtime has one base for its exceptions
        line = " ".join(str(error).split())[:300]
        raise VsfError(f"{name} cannot load the exported graph: {line}") from error
