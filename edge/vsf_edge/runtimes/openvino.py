"""OpenVINO: the fastest on Intel and AMD processors, and on Intel's graphics (extra ``openvino``)."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.border import check_names, encode, from_graph, output_names
from vsf_edge.bundle import Bundle
from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.interfaces import Array, Availability, Counts, Plan
from vsf_edge.machine import cpu_features, cpu_name, installed

INSTALL = "pip install 'vsf-edge[openvino]'"
BLOB = "compiled.blob"

PRECISIONS = {"cpu": ("fp32", "int8", "fp16"), "gpu": ("fp16", "fp32", "int8"), "npu": ("int8", "fp16")}


class OpenVino:
    """The runtime ``openvino``."""

    def availability(self) -> Availability:
        """Say which version is installed and which devices it sees."""
        try:
            import openvino

            seen = list(openvino.Core().available_devices)
        except ImportError as error:
            return Availability(
                usable=False, detail=f"not installed ({brief(error)})", advice="", facts={"version": None}
            )
        except Exception as error:
            return Availability(usable=False, detail=f"does not start: {brief(error)}", facts={"version": None})
        names = [name.partition(".")[0].lower() for name in seen]
        devices = {name: PRECISIONS[name] for name in PRECISIONS if name in names}
        version = str(openvino.__version__).partition("-")[0]
        return Availability(
            usable=bool(devices),
            detail=f"{version} on {', '.join(seen)}",
            facts={"version": version, "seen": seen},
            devices=devices,
        )

    def identity(self, plan: Plan) -> Mapping[str, str]:
        """Give the version and the processor that a compiled model is made for."""
        return {
            **installed("openvino"),
            "device": plan.device,
            "cpu": cpu_name(),
            "features": " ".join(cpu_features()),
        }

    def build(self, bundle: Bundle, plan: Plan, folder: Path) -> None:
        """Write the compiled model as a blob."""
        compiled = _compile(bundle, plan)
        try:
            blob = io.BytesIO()
            compiled.export_model(blob)
            (folder / BLOB).write_bytes(blob.getvalue())
        except Exception as error:
            raise EdgeError(f"OpenVINO cannot write the compiled {bundle.path}: {brief(error)}") from error

    def open(self, bundle: Bundle, plan: Plan = Plan(), engine: Path | None = None) -> OpenVinoSession:  # noqa: B008
        """Load the graph of `bundle`, the compiled one of `engine` where it is given."""
        if engine is None or plan.streams > 1 or not (engine / BLOB).is_file():  # streams are compiled in
            return OpenVinoSession(bundle, _compile(bundle, plan))
        openvino = _import()
        try:
            blob = (engine / BLOB).read_bytes()
            compiled = openvino.Core().import_model(blob, plan.device.upper(), _options(plan))
        except Exception as error:
            raise EdgeError(f"OpenVINO cannot read the compiled {bundle.path}: {brief(error)}") from error
        return OpenVinoSession(bundle, compiled)


class OpenVinoSession:
    """A graph compiled by OpenVINO."""

    def __init__(self, bundle: Bundle, compiled: Any) -> None:
        self._manifest = bundle.manifest
        self._path = bundle.path
        outputs = {name for port in compiled.outputs for name in port.get_names()}
        inputs = [name for port in compiled.inputs for name in port.get_names()]
        check_names(bundle.manifest, inputs, sorted(outputs), bundle.path)
        self._outputs = output_names(bundle.manifest)
        self._compiled = compiled
        self._requests = threading.local()  # every thread has its own
        self._tensor = _import().Tensor

    def run(self, brightfield: Counts) -> Mapping[str, Array]:
        """Stain `brightfield` [N, C, H, W] in counts."""
        feed = {self._manifest.input_name: encode(brightfield, self._manifest.input_dtype)}
        stains = self._own_stains(brightfield)
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        request = self._requests.own
        try:
            # it reads from these counts, and writes the stains where the caller finds them: nothing large is copied
            request.set_tensor(self._manifest.stains_output, self._tensor(stains, shared_memory=True))
            request.infer(feed, share_inputs=True)
            values = {name: request.get_tensor(name).data.copy() for name in self._outputs[1:]}
            values[self._manifest.stains_output] = stains
        except Exception as error:
            raise EdgeError(f"OpenVINO failed on {self._path}: {brief(error)}") from error
        return from_graph(values, self._manifest)

    def _own_stains(self, brightfield: Counts) -> npt.NDArray[Any]:
        """Make the array of new stains, as the graph gives them."""
        shape = (len(brightfield), len(self._manifest.stains), *brightfield.shape[2:])
        if self._manifest.stains_dtype == "uint16":  # as bytes, see `vsf_edge.border`
            return np.empty((*shape, 2), np.uint8)
        return np.empty(shape, self._manifest.stains_dtype)


def _import() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise EdgeError(f"openvino cannot be imported ({brief(error)}): {INSTALL}") from error
    return openvino


def _options(plan: Plan) -> dict[str, str]:
    """Ask for low latency or several calls at once, and for the arithmetic of the graph.

    OpenVINO itself would choose bfloat16 on some CPUs.
    """
    precision = "f16" if plan.precision == "fp16" and plan.device != "cpu" else "f32"
    if plan.streams > 1:
        return {"NUM_STREAMS": str(plan.streams), "INFERENCE_PRECISION_HINT": precision}
    return {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}


def _compile(bundle: Bundle, plan: Plan) -> Any:
    openvino = _import()
    if plan.device not in PRECISIONS:
        raise EdgeUsageError(f"openvino knows no device {plan.device!r}; it knows {', '.join(PRECISIONS)}")
    core = openvino.Core()
    seen = core.available_devices
    if not any(name.partition(".")[0] == plan.device.upper() for name in seen):
        raise EdgeError(f"OpenVINO sees no device {plan.device} here, only {', '.join(seen)}: see 'vsf-edge doctor'")
    content = bundle.model(plan.precision)
    try:
        return core.compile_model(core.read_model(content), plan.device.upper(), _options(plan))
    except Exception as error:
        raise EdgeError(f"OpenVINO cannot compile the graph of {bundle.path}: {brief(error)}") from error
