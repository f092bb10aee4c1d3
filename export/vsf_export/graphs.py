"""From trained generators to checked ONNX graphs: what every target starts from.

Refuse what is not in deploy form, trace once per precision, run every graph in every runtime of this machine, and
compare with torch per cell. Nothing is written to the disk here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from vsf_edge.border import decode, encode
from vsf_export import sessions
from vsf_export.deployable import check_behaviour, check_layers
from vsf_export.drift import Drift, measure_drift
from vsf_export.quantisation import arithmetic, inner_convolutions, quantise
from vsf_export.spec import check_spec, limits_of, pixel_types
from vsf_export.staining_graph import INPUT, STAINS, StainingGraph
from vsf_export.targets.onnx_params import PRECISIONS, GraphParams, Precision
from vsf_export.tracing import Limits, trace
from vsframework import VsfError
from vsframework.interfaces import ExportSpec

SOFTWARE = ("vsframework", "vsf-export", "vsf-edge", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")
FRAMES = 2
"""Reference patches per call of a runtime: more than one, so that the batch is exercised too."""


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """Checked graphs and what was measured of them.

    Attributes
    ----------
    spec, params, limits
        What was asked for, and the sizes that come of it.
    source, result
        Types of the counts at the border: see :mod:`vsf_edge.border`.
    models
        ONNX per precision; ``fp32`` is always there.
    reference, expected
        Brightfield float32 [N, C, H, W], counts, whole where the border is; and what torch gives for it.
    cells
        The name of each reference patch.
    parity
        Per precision and runtime.
    rounding
        What rounding resized patches to whole counts does to the value of interest: mean and largest difference.
    """

    spec: ExportSpec
    params: GraphParams
    limits: Limits
    source: str
    result: str
    models: Mapping[str, bytes]
    reference: npt.NDArray[np.float32]
    expected: Mapping[str, npt.NDArray[np.float32]]
    cells: tuple[str, ...]
    parity: Mapping[str, Mapping[str, Drift]]
    rounding: Mapping[str, float]

    def frames(self) -> npt.NDArray[Any]:
        """Give the reference as the graph takes it."""
        return encode(self.reference, self.source)

    def compare(self, session: sessions.Session, precision: str, runtime: str) -> Drift:
        """Run the reference through `session` and compare it with torch.

        Raises
        ------
        VsfError
            When the value of interest drifts by more than the limit, or fp32 in anything.
        """
        return compare(session, self, precision, runtime)

    def records(self) -> dict[str, dict[str, dict[str, float]]]:
        """Give the parity as JSON values: precision, runtime, name to number."""
        return {
            precision: {runtime: dict(drift.values) for runtime, drift in runtimes.items()}
            for precision, runtimes in self.parity.items()
        }

    def flat(self, precisions: Sequence[str] = ()) -> dict[str, float]:
        """Give the parity for an `ExportRecord`: ``precision.runtime.name`` to number."""
        return {
            f"{precision}.{runtime}.{name}": value
            for precision, runtimes in self.records().items()
            if not precisions or precision in precisions
            for runtime, values in runtimes.items()
            for name, value in values.items()
        }

    def manifest(self) -> dict[str, Any]:
        """Give what a reader must know, but for the files: JSON values."""
        spec, limits = self.spec, self.limits
        side = None if limits.any_size else limits.size
        return {
            "input": {
                "name": INPUT,
                "dtype": self.source,
                "layout": "NCHW" if self.source != "uint16" else "NCHW2",
                "unit": "counts",
                "channels": spec.in_channels,
                "height": side,
                "width": side,
                "patch_size": limits.size,
                "stride": limits.stride,
                "max_batch": limits.max_batch,
                "max_height": limits.max_side,
                "max_width": limits.max_side,
                "full_scale": float(spec.brightfield_full_scale),
                "field_px": spec.field_px,
                "halo_px": None if spec.halo_px is None else max(1, spec.halo_px),
                "pixel_size_um": spec.pixel_size_um,
            },
            "simulated": spec.simulated,
            "output": {
                "name": STAINS,
                "dtype": self.result,
                "layout": "NCHW" if self.result != "uint16" else "NCHW2",
                "unit": "counts",
            },
            "stains": [
                {"name": name, "full_scale": float(scale)}
                for name, scale in zip(spec.stains, spec.stain_full_scale, strict=True)
            ],
            "quantities": [
                {"name": item.name, "unit": item.unit, "description": item.description, "output": item.name}
                for item in spec.quantifier.quantities
            ],
            "parity": self.records(),
            "parity_cells": len(self.cells),
            "parity_limit": self.params.drift_limit,
            "rounding_of_input": dict(self.rounding),
            "software": {name: version(name) for name in SOFTWARE},
            "metadata": dict(spec.metadata),
        }


def build_graphs(
    generators: Sequence[nn.Module],
    spec: ExportSpec,
    params: GraphParams,
    tell: Callable[[str], None] = lambda _: None,
) -> Graphs:
    """Trace deploy-mode `generators` in every precision of `params`, and measure them; `tell` hears of each step.

    Raises
    ------
    VsfError
        When the networks are not in deploy form, cannot be traced, are not of the precision that was asked for, or
        drift from torch on the reference.
    """
    check_spec(spec)
    check_layers(generators)
    source, result = pixel_types(spec, params)
    limits = limits_of(spec, params)
    exact = StainingGraph(generators, spec).eval()
    given = np.ascontiguousarray(spec.reference, np.float32)
    reference = decode(encode(given, source), source)
    check_behaviour(exact, torch.from_numpy(reference))
    graphs: dict[str, bytes] = {}
    draft = Graphs(
        spec=spec,
        params=params,
        limits=limits,
        source=source,
        result=result,
        models=graphs,
        reference=reference,
        expected=torch_outputs(exact, reference),
        cells=spec.cells or tuple(f"{number}" for number in range(len(reference))),
        parity={},
        rounding=_rounding(exact, given, reference, spec),
    )
    parity: dict[str, dict[str, Drift]] = {}
    wanted: set[Precision] = {"fp32", *params.precisions}
    for precision in sorted(wanted, key=PRECISIONS.index):
        tell(f"Tracing {precision}")
        if precision == "int8":
            graphs[precision] = quantise(graphs["fp32"], _calibration(spec, source), params.opset)
        else:
            half = precision == "fp16"
            graph = StainingGraph(generators, spec, source=source, result=result, half=half).eval()
            graphs[precision] = trace(graph, limits, params.opset)
        check_precision(graphs[precision], precision)
        parity[precision] = {}
        for runtime in sessions.installed():
            tell(f"Comparing {precision} in {runtime} with torch")
            session = sessions.load(runtime, graphs[precision])
            parity[precision][runtime] = compare(session, draft, precision, runtime)
    return Graphs(**{**draft.__dict__, "parity": parity})


def compare(session: sessions.Session, graphs: Graphs, precision: str, runtime: str) -> Drift:
    """Run the reference through `session` and compare it with torch; see `Graphs.compare`."""
    frames = graphs.frames()
    parts = [session(frames[start : start + FRAMES]) for start in range(0, len(frames), FRAMES)]
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in graphs.expected}
    outputs[STAINS] = decode(outputs[STAINS], graphs.result)
    drift = measure_drift(outputs, graphs.expected, graphs.spec, graphs.cells)
    step = 0.0 if graphs.result == "float32" else 0.5 / min(graphs.spec.stain_full_scale)  # rounded to whole counts
    problem = drift.problem(graphs.spec, graphs.params.drift_limit, exact=precision == "fp32", step=step)
    if problem:
        way_out = "report this with the run's config" if precision == "fp32" else "export without this precision"
        raise VsfError(f"the {precision} graph in {runtime} {problem}: nothing was written; {way_out}")
    return drift


def check_precision(content: bytes, precision: str) -> None:
    """Refuse a graph whose heavy operators do not compute in the `precision` that it is named after.

    Raises
    ------
    VsfError
        Says in which they do.
    """
    counts = arithmetic(content)
    total = sum(counts.values())
    wanted = len(inner_convolutions(onnx.load_from_string(content))) if precision == "int8" else total
    if counts[precision] < wanted or (total and not counts[precision]):
        real = ", ".join(f"{count} in {kind}" for kind, count in counts.items() if count)
        raise VsfError(
            f"the {precision} graph is not what its name says (of its convolutions {real}): nothing was written"
        )


def torch_outputs(graph: StainingGraph, brightfield: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Give what torch gives for `brightfield` [N, C, H, W], one patch at a time."""
    with torch.inference_mode():
        parts = [graph(patch[None]) for patch in torch.from_numpy(brightfield)]
    return {name: np.concatenate([part[index].numpy() for part in parts]) for index, name in enumerate(graph.outputs)}


def _rounding(
    graph: StainingGraph, given: npt.NDArray[np.float32], rounded: npt.NDArray[np.float32], spec: ExportSpec
) -> dict[str, float]:
    name = spec.quantifier.quantities[0].name
    if np.array_equal(given, rounded):
        return {f"{name}_mean_abs": 0.0, f"{name}_max_abs": 0.0}
    moved = np.abs(torch_outputs(graph, given)[name].astype(np.float64) - torch_outputs(graph, rounded)[name])
    return {
        f"{name}_mean_abs": float(f"{np.nan_to_num(moved).mean():.3g}"),
        f"{name}_max_abs": float(f"{np.nan_to_num(moved).max():.3g}"),
    }


def _calibration(spec: ExportSpec, source: str) -> list[npt.NDArray[Any]]:
    if spec.calibration is None or not len(spec.calibration):
        raise VsfError("int8 is calibrated on patches of the training donors, and there are none: export fp16 or fp32")
    return [encode(patch[np.newaxis], source) for patch in spec.calibration.astype(np.float32)]
