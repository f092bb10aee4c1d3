"""Every built-in generator, in every precision: operators that all runtimes take, and torch's numbers in two of them.

Small networks with random weights; what trained ones drift stands in docs/export.md. NVIDIA's own
parser and builder of TensorRT for RTX take every graph too, without a card (marker ``trt_rtx``).
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from vsf_edge.border import decode, encode
from vsf_export import sessions
from vsf_export.graphs import Graphs, build_graphs, torch_outputs
from vsf_export.operators import OPERATORS, problems
from vsf_export.quantisation import arithmetic
from vsf_export.staining_graph import StainingGraph
from vsf_export.targets.onnx_params import PRECISIONS, GraphParams
from vsframework.interfaces import ExportSpec
from vsframework.plugins import registry

PIX2PIX = {"depth": 3, "width": 4, "discriminator_halvings": 2}
CASES: dict[str, tuple[dict[str, Any], int, float, dict[str, Any]]] = {
    # parameters, planes, full scale of the camera, border of the graph
    "pix2pix": (PIX2PIX, 1, 4095.0, {"output": "uint16"}),
    "pix2pix++": (PIX2PIX, 1, 255.0, {}),
    "unet": ({"width": 4, "depth": 1}, 2, 255.0, {"output": "uint8"}),
    "fast": ({"width": 4, "depth": 3}, 1, 255.0, {"max_side": 128}),
}
CHANGES = {"fp32": 1e-5, "fp16": 2e-3, "int8": 0.02}
"""How far a DFI may move per precision in these untrained networks; a trained one is held to 0.002 in every export."""


def names() -> list[str]:
    built_in = [e.component.name for e in registry().entries("generator") if e.plugin.distribution == "vsf-plugins"]
    assert set(built_in) == set(CASES), "a new generator needs a line in CASES"
    return sorted(built_in)


@pytest.fixture(scope="module", params=names())
def graphs(request: pytest.FixtureRequest) -> tuple[Graphs, StainingGraph]:
    """The graphs of one small generator in every precision, and the module that they were traced from."""
    params, planes, full_scale, border = CASES[request.param]
    return build(request.param, params, planes, full_scale, border)


def build(
    name: str, params: dict[str, Any], planes: int, full_scale: float, border: dict[str, Any], side: int = 32
) -> tuple[Graphs, StainingGraph]:
    architecture = registry().create("generator", name, params)
    side = max(side, architecture.stride)
    torch.manual_seed(0)
    network = architecture.networks(planes, 2, side).generator
    network(torch.randn(4, planes, side, side))  # running statistics that are not trivial
    random = np.random.default_rng(0)
    patches = random.integers(0, int(full_scale) + 1, (8, planes, side, side)).astype(np.float32)
    spec = ExportSpec(
        in_channels=planes,
        stains=("dsDNA", "ssDNA"),
        image_size=side,
        stride=architecture.stride,
        brightfield_full_scale=full_scale,
        stain_full_scale=(154.0, 89.0),
        quantifier=registry().create("quantifier", "dfi", {}),
        reference=patches[:3],
        cells=("a", "b", "c"),
        calibration=patches[3:],
    )
    network = architecture.deploy(network)
    made = build_graphs([network], spec, GraphParams(precisions=PRECISIONS, drift_limit=0.02, **border))
    return made, StainingGraph([network], spec).eval()


def test_every_operator_and_type_is_in_the_tables_of_all_runtimes(graphs: tuple[Graphs, StainingGraph]) -> None:
    for content in graphs[0].models.values():
        assert problems(content) == []
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model, full_check=True)
        assert {node.op_type for node in model.graph.node} <= set(OPERATORS)
        assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]


def test_each_precision_is_what_its_name_says(graphs: tuple[Graphs, StainingGraph]) -> None:
    made = graphs[0]
    count = arithmetic(made.models["fp32"])["fp32"]
    assert arithmetic(made.models["fp32"]) == {"fp32": count, "fp16": 0, "int8": 0}
    assert arithmetic(made.models["fp16"]) == {"fp32": 0, "fp16": count, "int8": 0}
    assert arithmetic(made.models["int8"]) == {"fp32": 2, "fp16": 0, "int8": count - 2}
    half = onnx.load_from_string(made.models["fp16"])
    types = collections.Counter(onnx.TensorProto.DataType.Name(item.data_type) for item in half.graph.initializer)
    assert types["FLOAT16"]
    inferred = onnx.shape_inference.infer_shapes(half, strict_mode=True)
    kinds = {item.name: item.type.tensor_type.elem_type for item in inferred.graph.value_info}
    for node in half.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            assert kinds[node.output[0]] == onnx.TensorProto.FLOAT16
        if node.op_type in ("InstanceNormalization", "ReduceSum"):
            assert kinds.get(node.output[0], onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_random_shapes_give_what_torch_gives(
    graphs: tuple[Graphs, StainingGraph], precision: str, runtime: str
) -> None:
    if runtime not in sessions.installed():
        pytest.skip(f"{runtime} is not installed")
    made, module = graphs
    spec, limits = made.spec, made.limits
    session = sessions.load(runtime, made.models[precision])
    random = np.random.default_rng(len(precision))
    for _ in range(2):
        sides = [limits.size, limits.size]
        if limits.any_size:
            sides = [limits.stride * int(random.integers(1, limits.max_side // limits.stride + 1)) for _ in range(2)]
            sides = [max(side, 2 * limits.stride) for side in sides]  # one value has no deviation to be normalised by
        shape = (int(random.integers(1, 4)), spec.in_channels, *sides)
        brightfield = random.integers(0, int(spec.brightfield_full_scale) + 1, shape).astype(np.float32)
        expected = torch_outputs(module, brightfield)
        outputs = session(encode(brightfield, made.source))
        stains = decode(outputs["stains"], made.result)
        assert stains.shape == expected["stains"].shape
        np.testing.assert_allclose(outputs["dfi"], expected["dfi"], rtol=0, atol=CHANGES[precision])
        if precision == "fp32":
            step = 0.5 if made.result != "float32" else 0.0
            np.testing.assert_allclose(stains, expected["stains"], rtol=0, atol=step + 2e-3)


def test_the_record_has_every_figure_for_every_runtime(graphs: tuple[Graphs, StainingGraph]) -> None:
    made = graphs[0]
    records = made.records()
    assert set(records) == set(PRECISIONS)
    for runtimes in records.values():
        assert set(runtimes) == set(sessions.installed())
        for values in runtimes.values():
            wanted = {f"{s}_{k}" for s in made.spec.stains for k in ("max_abs_counts", "mean_abs_counts", "ssim")}
            wanted |= {f"dfi_{k}" for k in ("mean_abs", "p95_abs", "max_abs")} | {"stains_max_drift"}
            assert wanted <= set(values)
            assert values["dfi_mean_abs"] <= values["dfi_max_abs"]
            assert all(np.isfinite(value) for value in values.values())


@pytest.mark.trt_rtx
def test_the_real_parser_and_builder_of_tensorrt_for_rtx_take_it(
    graphs: tuple[Graphs, StainingGraph], tmp_path: Path, make_rtx: Callable[..., Any]
) -> None:
    target = make_rtx({"cards": ["sm89"], "optimisation_level": 0, "usual_batch": 2})
    record = target.write(graphs[0], tmp_path / "rtx")
    plans = {path.stem: path for path in record.files if path.suffix == ".plan"}
    assert set(plans) == {f"model.{precision}" for precision in PRECISIONS}
    assert all(path.stat().st_size > 10_000 for path in plans.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pix2pix++", "unet", "fast"])
def test_a_generator_of_full_size_keeps_its_dfi_in_half_precision(name: str) -> None:
    made, _ = build(name, {}, 1, 255.0, {}, side=256)
    for drifts in (made.parity["fp32"], made.parity["fp16"]):
        for runtime, drift in drifts.items():
            assert drift.values["dfi_max_abs"] <= 0.002, (name, runtime)
    assert len(made.models["fp16"]) < 0.55 * len(made.models["fp32"])
    assert len(made.models["int8"]) < 0.3 * len(made.models["fp32"])
