"""The target ``onnx``: every precision in one bundle ``model.vsf``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vsf_export.bundle import INTENDED_USE, LICENSE_NAME, LICENSE_TEXT, reference_files, write_bundle
from vsf_export.graphs import Graphs
from vsf_export.targets.onnx_params import OnnxParams
from vsf_export.targets.target import GraphTarget
from vsframework.interfaces import ExportRecord

IN_BUNDLE = 4
"""Reference cells that travel with the bundle to check every runtime on; a few hundred kilobytes each."""


class OnnxTarget(GraphTarget[OnnxParams]):
    """The reference: what every other target and every runtime is compared with."""

    def write(self, graphs: Graphs, out: Path) -> ExportRecord:
        """Write the bundle to the file `out`."""
        names = {precision: f"model.{precision}.onnx" for precision in graphs.models}
        chosen = bundled_cells(len(graphs.reference))
        manifest: dict[str, Any] = {
            "intended_use": INTENDED_USE,
            "model": {"files": names, "format": "onnx", "opset": graphs.params.opset},
            **graphs.manifest(),
        }
        files = {
            **{name: graphs.models[precision] for precision, name in names.items()},
            LICENSE_NAME: LICENSE_TEXT.encode("utf-8"),
            **reference_files(
                graphs.reference[chosen], {name: values[chosen] for name, values in graphs.expected.items()}
            ),
        }
        write_bundle(out, manifest, files)
        return ExportRecord(files=(out,), parity=graphs.flat())


def bundled_cells(count: int) -> list[int]:
    """Choose which of `count` reference cells travel with a model: spread over all."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(IN_BUNDLE, count)).round()})
