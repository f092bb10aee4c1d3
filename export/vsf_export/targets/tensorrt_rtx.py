"""The target ``tensorrt-rtx``: engines for RTX cards, by NVIDIA's own parser and builder, built without a card."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

from vsf_export.graphs import Graphs
from vsf_export.targets.target import GraphTarget
from vsf_export.targets.tensorrt_engine import import_module, write_engines
from vsf_export.targets.tensorrt_params import TensorRtRtxParams
from vsframework import VsfError
from vsframework.interfaces import ExportRecord

BINDINGS = "tensorrt_rtx_bindings"
LIBRARIES = "onnxruntime_ep_nv_tensorrt_rtx"
INSTALL = "pip install --no-deps onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0 tensorrt_rtx_cu13_bindings==1.7.1.116"
_PATTERNS = ("libtensorrt_rtx.so.*", "libtensorrt_onnxparser_rtx.so.*")

_loaded: list[Any] = []  # libraries stay loaded as long as the module that is bound to them


class TensorRtRtxTarget(GraphTarget[TensorRtRtxParams]):
    """A folder with a raw plan per precision, JSON beside each, and the ONNX that it was built from.

    Nothing is executed: without a card the numbers of an engine cannot be compared with torch here. A plan for RTX
    is finished on the card at its first use, and is no plan of TensorRT.
    """

    def unavailable(self) -> str:
        """Say that the wheels are missing, where they are."""
        missing = [name for name in (BINDINGS, LIBRARIES) if importlib.util.find_spec(name) is None]
        if missing:
            return f"TensorRT for RTX is not installed (no {' and no '.join(missing)}; Linux x86-64 only): {INSTALL}"
        return ""

    def write(self, graphs: Graphs, out: Path) -> ExportRecord:
        """Build the engines into the folder `out`."""
        trt = load_tensorrt_rtx()
        facts = {"cards": list(self.params.cards), "engine_of": "TensorRT for RTX"}
        return write_engines(trt, graphs, self.params, out, {"cards": self.params.cards}, facts)


def load_tensorrt_rtx() -> Any:
    """Load NVIDIA's libraries where their wheel put them, then the bindings that expect them.

    Raises
    ------
    VsfError
        When a library is missing or cannot be loaded.
    """
    spec = importlib.util.find_spec(LIBRARIES)
    if spec is None or spec.origin is None:
        raise VsfError(f"TensorRT for RTX is not installed: {INSTALL}")
    folder = Path(spec.origin).parent
    if not _loaded:
        for pattern in _PATTERNS:
            found = sorted(folder.glob(pattern))
            if not found:
                raise VsfError(f"{folder} holds no {pattern}: {INSTALL}")
            try:
                _loaded.append(ctypes.CDLL(str(found[-1]), mode=ctypes.RTLD_GLOBAL))
            except OSError as error:
                _loaded.clear()
                raise VsfError(f"{found[-1].name} cannot be loaded ({error}): {INSTALL}") from error
    return import_module(BINDINGS)
