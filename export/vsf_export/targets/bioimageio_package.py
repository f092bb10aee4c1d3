"""The target ``bioimageio``: a model package of the BioImage Model Zoo, validated by its own specification."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vsf_edge.border import encode
from vsf_export.graphs import Graphs
from vsf_export.staining_graph import INPUT, STAINS
from vsf_export.targets.serving_params import BioImageParams
from vsf_export.targets.target import GraphTarget
from vsf_export.tracing import quiet
from vsframework import VsfError
from vsframework.atomic import atomic_path
from vsframework.interfaces import ExportRecord


class BioImageTarget(GraphTarget[BioImageParams]):
    """A zip with the float32 graph, one reference cell as test input and output, and what the model is for.

    Such a package has one set of weights in ONNX: it is the reference, float32.
    """

    def unavailable(self) -> str:
        """Say that the specification is missing, where it is."""
        if importlib.util.find_spec("bioimageio") is None or importlib.util.find_spec("bioimageio.spec") is None:
            return "bioimageio.spec is not installed: pip install 'vsf-export[bioimageio]'"
        return ""

    def write(self, graphs: Graphs, out: Path) -> ExportRecord:
        """Write the package to the file `out`."""
        if graphs.source == "uint16" or graphs.result == "uint16":
            raise VsfError("a BioImage.IO package has no byte pairs: leave input and output at float32")
        with quiet():
            from bioimageio.spec import save_bioimageio_package
        with tempfile.TemporaryDirectory(prefix="vsf-bioimageio-") as name, atomic_path(out) as temporary, quiet():
            description = self.describe(graphs, Path(name))
            try:
                save_bioimageio_package(description, output_path=temporary, allow_invalid=False)
            except ValueError as error:
                line = " ".join(str(error).split())[:300]
                raise VsfError(f"bioimageio.spec does not accept the package: {line}") from error
        return ExportRecord(files=(out,), parity=graphs.flat(["fp32"]))

    def describe(self, graphs: Graphs, folder: Path) -> Any:
        """Give the description of the package; its files are written to `folder`."""
        from bioimageio.spec.model import v0_5 as spec

        (folder / "model.onnx").write_bytes(graphs.models["fp32"])
        card = "\n".join(_card(graphs))
        (folder / "README.md").write_text(card, encoding="utf-8")
        np.save(folder / "input.npy", encode(graphs.reference[:1], graphs.source))
        for key, expected in graphs.expected.items():
            np.save(folder / f"{key}.npy", expected[:1])
        limits = graphs.limits
        sides: dict[str, Any] = dict.fromkeys("yx", limits.size)
        if limits.any_size:
            sides = {axis: spec.ParameterizedSize(min=limits.stride, step=limits.stride) for axis in "yx"}
        planes = [f"plane{number}" for number in range(limits.channels)]
        image = [spec.BatchAxis(), spec.ChannelAxis(channel_names=planes)]
        frames = spec.InputTensorDescr(
            id=spec.TensorId(INPUT),
            description="Brightfield, camera counts, not normalised.",
            axes=[*image, *(spec.SpaceInputAxis(id=spec.AxisId(axis), size=sides[axis]) for axis in "yx")],
            test_tensor=spec.FileDescr(source=folder / "input.npy"),
            data=spec.IntervalOrRatioDataDescr(type=graphs.source, unit="arbitrary unit"),
        )
        spaces: list[Any] = [
            spec.SpaceOutputAxis(
                id=spec.AxisId(axis),
                size=spec.SizeReference(tensor_id=spec.TensorId(INPUT), axis_id=spec.AxisId(axis))
                if limits.any_size
                else limits.size,
            )
            for axis in "yx"
        ]
        stains = spec.OutputTensorDescr(
            id=spec.TensorId(STAINS),
            description="Virtual stains, counts.",
            axes=[spec.BatchAxis(), spec.ChannelAxis(channel_names=list(graphs.spec.stains)), *spaces],
            test_tensor=spec.FileDescr(source=folder / f"{STAINS}.npy"),
            data=spec.IntervalOrRatioDataDescr(type=graphs.result, unit="arbitrary unit"),
        )
        values = [
            spec.OutputTensorDescr(
                id=spec.TensorId(quantity.name.lower()),
                description=f"{quantity.description} [{quantity.unit}]"[:128],
                axes=[spec.BatchAxis()],
                test_tensor=spec.FileDescr(source=folder / f"{quantity.name}.npy"),
                data=spec.IntervalOrRatioDataDescr(type="float32"),
            )
            for quantity in graphs.spec.quantifier.quantities
        ]
        return spec.ModelDescr(
            name=f"Virtual staining {graphs.spec.metadata.get('experiment', '')}".strip()[:128],
            description="Brightfield to virtual fluorescence and what is measured on it. Research use only.",
            authors=[spec.Author(name=name) for name in self.params.authors],
            license=None if self.params.license is None else spec.LicenseId(self.params.license),
            documentation=spec.FileDescr(source=folder / "README.md"),
            tags=["virtual-staining", "image-to-image", "brightfield", "fluorescence"],
            inputs=[frames],
            outputs=[stains, *values],
            weights=spec.WeightsDescr(
                onnx=spec.OnnxWeightsDescr(
                    source=folder / "model.onnx",
                    opset_version=graphs.params.opset,
                    authors=[spec.Author(name=name) for name in self.params.authors],
                )
            ),
        )


def _card(graphs: Graphs) -> list[str]:
    worst = graphs.parity["fp32"]["onnxruntime"].values
    return [
        "# Virtual staining",
        "",
        "Research use only. Not a medical device; not for diagnosis or for selecting treatment.",
        "",
        "Give camera counts as they are: normalisation is inside, and so is the measurement.",
        "",
        "## Validation",
        "",
        f"Compared with the trained network on {len(graphs.cells)} cells that no training saw, in ONNX Runtime:",
        "",
        *(f"- {name}: {value:g}" for name, value in worst.items()),
        "",
    ]
