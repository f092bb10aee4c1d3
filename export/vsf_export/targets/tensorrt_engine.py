"""The target ``tensorrt``: engines for the graphics card of this machine."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from vsf_edge.doctor import nvidia
from vsf_export.engine_builder import BuildOptions, Plan, build_plan
from vsf_export.graphs import Graphs
from vsf_export.targets.target import GraphTarget, files_of, whole_folder
from vsf_export.targets.tensorrt_params import EngineParams, TensorRtParams
from vsframework import VsfError
from vsframework.interfaces import ExportRecord

INSTALL = "pip install tensorrt-cu13 (TensorRT 8.6, 10 or 11 are read)"
ELSEWHERE = "copy model.vsf to the machine with the card and run 'vsf-edge build model.vsf' there"
TYPES = {"fp32": ("FLOAT",), "fp16": ("HALF",), "int8": ("FLOAT",)}
"""In what type a convolution of the parsed network gives its result; between Q and DQ nodes that is float32."""


class TensorRtTarget(GraphTarget[TensorRtParams]):
    """A folder with a raw plan per precision, JSON beside each, and the ONNX that it was built from."""

    def unavailable(self) -> str:
        """Say what is missing, without loading a driver or a library: a broken one ends the process."""
        return machine_problem("tensorrt")

    def write(self, graphs: Graphs, out: Path) -> ExportRecord:
        """Build the engines into the folder `out`."""
        trt = import_module("tensorrt")
        params = self.params
        extra = {
            "hardware": params.hardware,
            "version_compatible": params.version_compatible,
            "timing_cache": Path(params.timing_cache) if params.timing_cache else None,
        }
        facts = {"machine": nvidia(), "hardware": params.hardware, "version_compatible": params.version_compatible}
        return write_engines(trt, graphs, params, out, extra, facts)


def machine_problem(module: str) -> str:
    """Say why no engine can be built on this machine; empty where it can."""
    machine = nvidia()
    if importlib.util.find_spec(module) is None:
        return f"TensorRT is not installed: {INSTALL}, or {ELSEWHERE}"
    if not machine["driver_library"] and not machine["jetson"]:
        return (
            f"there is no NVIDIA driver on this machine, and an engine is built on the card that runs it: {ELSEWHERE}"
        )
    if machine["problem"]:
        return f"the NVIDIA driver does not answer ({machine['problem']}): install it again, or {ELSEWHERE}"
    if not machine["devices"] and not machine["jetson"]:
        return f"the NVIDIA driver finds no card: {ELSEWHERE}"
    return ""


def import_module(name: str) -> Any:
    """Import a TensorRT.

    Raises
    ------
    VsfError
        When its libraries cannot be loaded.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise VsfError(f"{name} is installed and cannot be loaded ({error}): {INSTALL}") from error


def write_engines(
    trt: Any, graphs: Graphs, params: EngineParams, out: Path, extra: dict[str, Any], facts: dict[str, Any]
) -> ExportRecord:
    """Build every precision of `graphs` with the module `trt` into the folder `out`.

    Raises
    ------
    VsfError
        When the builder refuses a graph, or gives another precision than asked for.
    """
    with whole_folder(out) as folder:
        for precision, content in graphs.models.items():
            options = BuildOptions(
                precision=precision,
                limits=graphs.limits,
                usual_batch=params.usual_batch,
                byte_pairs=graphs.source == "uint16",
                optimisation_level=params.optimisation_level,
                workspace_mib=params.workspace_mib,
                **extra,
            )
            plan = build_plan(trt, content, options)
            check_types(plan, precision)
            (folder / f"model.{precision}.plan").write_bytes(plan.content)
            (folder / f"model.{precision}.onnx").write_bytes(content)
            document = {
                **graphs.manifest(),
                "precision": precision,
                "tensorrt": str(trt.__version__),
                "convolutions": plan.convolutions,
                "plan_bytes": len(plan.content),
                "parity_of": "the ONNX graph beside it; 'vsf-edge build' compares an engine with torch on its card",
                **facts,
            }
            text = json.dumps(document, indent=2, sort_keys=True)
            (folder / f"model.{precision}.json").write_text(text, encoding="utf-8")
    return ExportRecord(files=files_of(out), parity=graphs.flat())


def check_types(plan: Plan, precision: str) -> None:
    """Refuse a plan whose convolutions do not compute in the type of its name.

    Raises
    ------
    VsfError
        Says in which they do.
    """
    wanted = sum(plan.convolutions.get(kind, 0) for kind in TYPES[precision])
    if plan.convolutions and wanted < sum(plan.convolutions.values()):
        real = ", ".join(f"{count} {kind}" for kind, count in sorted(plan.convolutions.items()))
        raise VsfError(f"the {precision} engine is not what its name says (convolutions: {real}): nothing was written")
