"""The target ``triton``: a complete model repository, one model per precision and backend."""

from __future__ import annotations

import json
from pathlib import Path

from vsf_export.engine_builder import BuildOptions, build_plan
from vsf_export.graphs import Graphs
from vsf_export.staining_graph import INPUT, STAINS
from vsf_export.targets.serving_params import TritonParams
from vsf_export.targets.target import GraphTarget, files_of, whole_folder
from vsf_export.targets.tensorrt_engine import check_types, import_module, machine_problem
from vsframework.interfaces import ExportRecord

TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8", "uint16": "TYPE_UINT8"}
"""16-bit counts are byte pairs: Triton has 16-bit integers, and TensorRT behind it has none."""


class TritonTarget(GraphTarget[TritonParams]):
    """A folder for ``tritonserver --model-repository``.

    ``NAME_fp32`` and its like run in ONNX Runtime, on whatever the server has. Where this machine can build engines,
    ``NAME_fp32_tensorrt`` and its like are there too.
    """

    def write(self, graphs: Graphs, out: Path) -> ExportRecord:
        """Write the repository to the folder `out`."""
        with_engines = not machine_problem("tensorrt")
        with whole_folder(out) as folder:
            for precision, content in graphs.models.items():
                name = f"{self.params.model_name}_{precision}"
                _write(folder / name, "model.onnx", content, self.config(graphs, name, engine=False))
                if with_engines:
                    options = BuildOptions(
                        precision=precision, limits=graphs.limits, byte_pairs=graphs.source == "uint16"
                    )
                    plan = build_plan(import_module("tensorrt"), content, options)
                    check_types(plan, precision)
                    name += "_tensorrt"
                    _write(folder / name, "model.plan", plan.content, self.config(graphs, name, engine=True))
            text = json.dumps(graphs.manifest(), indent=2, sort_keys=True)
            (folder / "model.json").write_text(text, encoding="utf-8")
        return ExportRecord(files=files_of(out), parity=graphs.flat())

    def config(self, graphs: Graphs, name: str, engine: bool) -> str:
        """Give the ``config.pbtxt`` of one model."""
        side = -1 if graphs.limits.any_size else graphs.limits.size
        source, result = ([2] if kind == "uint16" else [] for kind in (graphs.source, graphs.result))
        number = "reshape { shape: [ ] }"  # one value per image: Triton wants a dimension that it can take off
        outputs = [
            _tensor(STAINS, TYPES[graphs.result], [len(graphs.spec.stains), side, side, *result]),
            *(_tensor(item.name, "TYPE_FP32", [1], number) for item in graphs.spec.quantifier.quantities),
        ]
        frames = _tensor(INPUT, TYPES[graphs.source], [graphs.limits.channels, side, side, *source])
        preferred = sorted({size for size in (4, 8) if size <= graphs.limits.max_batch})
        return "\n".join(
            [
                f'name: "{name}"',
                f'platform: "{"tensorrt_plan" if engine else "onnxruntime_onnx"}"',
                f"max_batch_size: {graphs.limits.max_batch}",
                f"input [\n  {frames}\n]",
                "output [\n  " + ",\n  ".join(outputs) + "\n]",
                "version_policy { latest { num_versions: 1 } }",
                f"dynamic_batching {{ preferred_batch_size: {preferred}"
                f" max_queue_delay_microseconds: {self.params.queue_delay_us} }}",
                f"instance_group [ {{ count: 1 kind: {'KIND_GPU' if engine else 'KIND_AUTO'} }} ]",
                *(["optimization { cuda { graphs: true } }"] if engine else []),
                "",
            ]
        )


def _tensor(name: str, dtype: str, dims: list[int], more: str = "") -> str:
    return f'{{ name: "{name}" data_type: {dtype} dims: {dims} {more} }}'.replace("  }", " }")


def _write(folder: Path, file: str, content: bytes, config: str) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / file).write_bytes(content)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
