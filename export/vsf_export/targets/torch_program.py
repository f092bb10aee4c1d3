"""The target ``torch``: a program of torch.export per precision, read back from the disk and compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from vsf_export.drift import Drift
from vsf_export.graphs import build_graphs
from vsf_export.sessions import Outputs
from vsf_export.staining_graph import StainingGraph
from vsf_export.targets.serving_params import TorchParams
from vsf_export.targets.target import files_of, whole_folder
from vsf_export.tracing import dynamic_shapes, quiet
from vsframework import VsfError
from vsframework.interfaces import ExportRecord, ExportSpec


class TorchTarget:
    """A folder with ``model.PRECISION.pt2`` (fp32 and fp16; int8 is not torch's) and ``model.json``.

    ``torch.export.load(path).module()`` runs it; ``torch._inductor.aoti_compile_and_package`` compiles it.
    """

    def __init__(self, params: TorchParams) -> None:
        self.params = params

    def export(self, generators: Sequence[nn.Module], spec: ExportSpec, out: Path) -> ExportRecord:
        """Write deploy-mode `generators` to the folder `out`; all or nothing.

        Raises
        ------
        VsfError
            When int8 is asked for, the networks are not in deploy form or cannot be traced, or a program drifts.
        """
        if "int8" in self.params.precisions:
            raise VsfError("the target torch has no int8: export it to onnx, openvino or tensorrt")
        graphs = build_graphs(generators, spec, self.params)
        parity: dict[str, Drift] = {}
        with whole_folder(out) as folder:
            for precision in graphs.models:
                path = folder / f"model.{precision}.pt2"
                half = precision == "fp16"
                graph = StainingGraph(generators, spec, source=graphs.source, result=graphs.result, half=half).eval()
                shape, sides = dynamic_shapes(graphs.limits)
                example = graph.example(2, spec.in_channels, *sides)
                with quiet():
                    program = torch.export.export(graph, (example,), dynamic_shapes=(shape,))
                    torch.export.save(program, path)
                    session = _session(path, graph.outputs)
                parity[precision] = graphs.compare(session, precision, "torch")
            document = {
                **graphs.manifest(),
                "parity": {name: {"torch": dict(drift.values)} for name, drift in parity.items()},
            }
            (folder / "model.json").write_text(json.dumps(document, indent=2, sort_keys=True), encoding="utf-8")
        return ExportRecord(
            files=files_of(out),
            parity={f"{name}.{key}": value for name, drift in parity.items() for key, value in drift.values.items()},
        )


def _session(path: Path, names: Sequence[str]) -> Any:
    module = torch.export.load(path).module()

    def run(frames: npt.NDArray[Any]) -> Outputs:
        with torch.inference_mode():
            values = module(torch.from_numpy(frames))
        return {name: value.numpy() for name, value in zip(names, values, strict=True)}

    return run
