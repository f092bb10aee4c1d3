"""Exports to ONNX: trace, check, compare with torch through the runtime that the edge uses, and bundle."""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from vsf_edge.bundle import open_bundle
from vsf_edge.errors import EdgeError
from vsf_edge.parity import Parity, compare
from vsf_edge.runtimes.onnxruntime import OnnxRuntime
from vsf_export.bundle import INTENDED_USE, LICENSE_NAME, LICENSE_TEXT, reference_files, write_bundle
from vsf_export.deployable import check_behaviour, check_layers
from vsf_export.staining_graph import INPUT, STAINS, StainingGraph
from vsf_export.targets.onnx_params import OnnxParams
from vsframework import VsfError
from vsframework.interfaces import ExportRecord, ExportSpec

MODEL = "model.fp32.onnx"
MAX_GRAPH_BYTES = 2**31 - 1  # of one protobuf message
SOFTWARE = ("vsframework", "vsf-export", "vsf-edge", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


class OnnxTarget:
    """The export target ``onnx``: one fp32 graph for patches of the size of training, any batch."""

    def __init__(self, params: OnnxParams) -> None:
        self.params = params

    def export(self, generators: Sequence[nn.Module], spec: ExportSpec, out: Path) -> ExportRecord:
        """Write deploy-mode `generators` as a bundle to `out` (``model.vsf``); all or nothing.

        Raises
        ------
        VsfError
            When the networks are not in deploy form, cannot be traced, or the graph drifts from torch on
            ``spec.reference`` by more than `vsf_edge.parity.TOLERANCE`.
        """
        _check_spec(spec)
        check_layers(generators)
        graph = StainingGraph(generators, spec).eval()
        reference = np.ascontiguousarray(spec.reference, np.float32)
        check_behaviour(graph, torch.from_numpy(reference))
        with torch.inference_mode():
            values = [
                np.concatenate([part.numpy() for part in parts])
                for parts in zip(*(graph(patch[None]) for patch in torch.from_numpy(reference)), strict=True)
            ]
        expected = dict(zip(graph.outputs, values, strict=True))
        files = {
            MODEL: trace(graph, spec, self.params.opset),
            LICENSE_NAME: LICENSE_TEXT.encode("utf-8"),
            **reference_files(reference, expected),
        }
        manifest = _manifest(spec, self.params)
        parity = _measure(manifest, files, expected)
        if parity.problem:
            raise VsfError(
                f"the exported graph {parity.problem}: nothing was written; report this with the run's config"
            )
        manifest["parity"] = {"fp32": {"onnxruntime": parity.record()}}
        write_bundle(out, manifest, files)
        return ExportRecord(files=(out,), parity=parity.record())


def trace(graph: StainingGraph, spec: ExportSpec, opset: int) -> bytes:
    """Give `graph` as the bytes of a checked ONNX model: batch dynamic, everything else fixed.

    Raises
    ------
    VsfError
        When torch cannot trace it, or the result is not valid ONNX.
    """
    example = torch.zeros(2, spec.in_channels, spec.image_size, spec.image_size)  # a batch of 1 would become a constant
    try:
        with _quiet():
            program = torch.onnx.export(
                graph,
                (example,),
                input_names=[INPUT],
                output_names=graph.outputs,
                opset_version=opset,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        line = " ".join(str(error).split())[:300]
        raise VsfError(f"torch cannot trace these networks with their quantifier into ONNX: {line}") from error
    if program is None:
        raise VsfError("torch gave no ONNX program for these networks")
    model = program.model_proto
    _forget_sources(model)
    if model.ByteSize() > MAX_GRAPH_BYTES:
        raise VsfError(
            f"the graph has {model.ByteSize()} bytes and ONNX holds 2 GiB in one file: train a smaller generator"
        )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VsfError(f"torch wrote a graph that is not valid ONNX: {' '.join(str(error).split())[:300]}") from error
    written = {item.version for item in model.opset_import if item.domain in ("", "ai.onnx")}
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if written != {opset} or foreign:
        raise VsfError(f"torch wrote operators of {foreign or written} where ONNX opset {opset} was asked for")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's notes on its own internals from the user; the checks after the export are what counts."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _forget_sources(model: onnx.ModelProto) -> None:
    """Remove torch's notes on where each node comes from: they hold paths of this machine, and differ between two."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""


def _measure(
    manifest: Mapping[str, Any], files: Mapping[str, bytes], expected: Mapping[str, npt.NDArray[np.float32]]
) -> Parity:
    """Run the reference through a draft of the bundle, as the edge will."""
    with tempfile.TemporaryDirectory(prefix="vsf-export-") as folder:
        draft = Path(folder) / "draft.vsf"
        write_bundle(draft, {**manifest, "parity": {}}, files)
        try:
            with open_bundle(draft) as bundle:
                brightfield, _ = bundle.reference()
                outputs = OnnxRuntime().open(bundle).run(brightfield)
                return compare(outputs, expected, bundle.manifest)
        except EdgeError as error:
            raise VsfError(f"the exported graph does not run: {error}") from error


def _manifest(spec: ExportSpec, params: OnnxParams) -> dict[str, Any]:
    return {
        "intended_use": INTENDED_USE,
        "model": {"files": {"fp32": MODEL}, "format": "onnx", "opset": params.opset},
        "input": {
            "name": INPUT,
            "dtype": "float32",
            "layout": "NCHW",
            "unit": "counts",
            "channels": spec.in_channels,
            "height": spec.image_size,
            "width": spec.image_size,
            "stride": spec.stride,
            "full_scale": float(spec.brightfield_full_scale),
        },
        "output": {"name": STAINS, "dtype": "float32", "layout": "NCHW", "unit": "counts"},
        "stains": [
            {"name": name, "full_scale": float(scale)}
            for name, scale in zip(spec.stains, spec.stain_full_scale, strict=True)
        ],
        "quantities": [
            {"name": item.name, "unit": item.unit, "description": item.description, "output": item.name}
            for item in spec.quantifier.quantities
        ],
        "software": {name: version(name) for name in SOFTWARE},
        "metadata": dict(spec.metadata),
    }


def _check_spec(spec: ExportSpec) -> None:
    if len(spec.stains) != len(spec.stain_full_scale):
        raise VsfError(f"{len(spec.stains)} stains have {len(spec.stain_full_scale)} full scales: give one each")
    shape = (spec.in_channels, spec.image_size, spec.image_size)
    if spec.reference.ndim != 4 or not len(spec.reference) or spec.reference.shape[1:] != shape:
        raise VsfError(f"the reference has the shape {spec.reference.shape}, and it should be [N >= 1, {shape}]")
    names = [*spec.stains, *(quantity.name for quantity in spec.quantifier.quantities)]
    for name in names:
        if not _NAME.fullmatch(name) or name in (INPUT, STAINS):
            raise VsfError(f"the name {name!r} cannot be that of an output: use letters, digits and . _ + -")
