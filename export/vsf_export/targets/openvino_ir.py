"""The target ``openvino``: an IR per precision, read back from the disk and compared with torch."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

from vsf_export.drift import Drift
from vsf_export.graphs import Graphs
from vsf_export.sessions import compiled
from vsf_export.targets.openvino_params import OpenVinoParams
from vsf_export.targets.target import GraphTarget, files_of, whole_folder
from vsframework import VsfError
from vsframework.interfaces import ExportRecord

WEIGHTS = {"fp32": "f32", "fp16": "f16", "int8": "i8"}


class OpenVinoTarget(GraphTarget[OpenVinoParams]):
    """A folder with ``model.PRECISION.xml``, its weights in ``.bin``, and ``model.json``."""

    def unavailable(self) -> str:
        """Say that OpenVINO is missing, where it is."""
        if importlib.util.find_spec("openvino") is None:
            return "OpenVINO is not installed: pip install 'vsf-export[openvino]'"
        return ""

    def write(self, graphs: Graphs, out: Path) -> ExportRecord:
        """Write the IRs to the folder `out`."""
        openvino = importlib.import_module("openvino")
        core = openvino.Core()
        parity: dict[str, Drift] = {}
        with whole_folder(out) as folder:
            for precision, content in graphs.models.items():
                path = folder / f"model.{precision}.xml"
                openvino.save_model(core.read_model(io.BytesIO(content)), path, compress_to_fp16=False)
                model = core.read_model(path)
                share = weights_of(model, WEIGHTS[precision])
                if not share:
                    raise VsfError(f"OpenVINO wrote no {WEIGHTS[precision]} weights into the {precision} IR")
                parity[precision] = graphs.compare(compiled(core, model), precision, "openvino")
                del model  # it maps the file, which could not be renamed on Windows
            document: dict[str, Any] = {
                **graphs.manifest(),
                "openvino": openvino.__version__,
                "parity": {name: {"openvino": dict(drift.values)} for name, drift in parity.items()},
            }
            (folder / "model.json").write_text(json.dumps(document, indent=2, sort_keys=True), encoding="utf-8")
        return ExportRecord(
            files=files_of(out),
            parity={f"{name}.{key}": value for name, drift in parity.items() for key, value in drift.values.items()},
        )


def weights_of(model: Any, kind: str) -> int:
    """Count the numbers of a type (``"f32"``, ``"f16"``, ``"i8"``) in the constants of an OpenVINO model."""
    constants = (node for node in model.get_ops() if node.get_type_name() == "Constant")
    return sum(int(node.data.size) for node in constants if node.get_element_type().get_type_name() == kind)
