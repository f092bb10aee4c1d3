"""The built-in runtimes give the graph's numbers: from the bundle, from a built engine, with integers at the border."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from vsf_edge.border import decode, encode
from vsf_edge.bundle import open_bundle
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.interfaces import Plan, Runtime
from vsf_edge.parity import measure
from vsf_edge.plugins import plugins

SIDE = 16


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    made: Runtime = plugins().find("runtime", request.param).create()
    assert made.availability().usable
    return made


def test_it_gives_the_reference_from_the_bundle_and_from_an_engine(
    runtime: Runtime, model: Path, tmp_path: Path
) -> None:
    with open_bundle(model) as bundle:
        runtime.build(bundle, Plan(), tmp_path)
        for session in (runtime.open(bundle), runtime.open(bundle, Plan(), tmp_path)):
            assert measure(bundle, session).problem == ""
    assert [path for path in tmp_path.iterdir() if path.suffix in (".onnx", ".blob")]


def test_a_device_that_it_does_not_have_is_told(runtime: Runtime, model: Path) -> None:
    with open_bundle(model) as bundle:
        with pytest.raises(EdgeUsageError, match="knows no device 'abacus'"):
            runtime.open(bundle, Plan(device="abacus"))
        with pytest.raises(EdgeError, match=r"(?i)cuda|gpu"):
            runtime.open(bundle, Plan(device="cuda" if "cuda" in str(runtime.__module__) else "gpu"))


def test_a_damaged_graph_is_told_in_one_sentence(runtime: Runtime, make_model: Callable[..., Path]) -> None:
    with open_bundle(make_model(files={"model.fp32.onnx": b"no graph"})) as bundle, pytest.raises(EdgeError) as caught:
        runtime.open(bundle)
    assert str(bundle.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def byte_graph() -> bytes:
    """dsDNA is the brightfield and ssDNA half of it, uint16 as byte pairs on both sides; DFI is 1/3."""
    constants = {
        "place": np.array([1, 256], np.float32),
        "gains": np.array([1, 0.5], np.float32).reshape(1, 2, 1, 1),
        "half": np.array(0.5, np.float32),
        "base": np.array(256, np.float32),
        "last": np.array([-1], np.int64),
        "all": np.array([1, 2, 3], np.int64),
        "first": np.array([1], np.int64),
        "end": np.array([2], np.int64),
        "channel": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["brightfield"], ["pairs"], to=TensorProto.FLOAT),
        node("Mul", ["pairs", "place"], ["weighted"]),
        node("ReduceSum", ["weighted", "last"], ["counts"], keepdims=0),
        node("Mul", ["counts", "gains"], ["exact"]),
        node("Slice", ["exact", "first", "end", "channel"], ["red"]),
        node("ReduceSum", ["red", "all"], ["red_sum"], keepdims=0),
        node("ReduceSum", ["exact", "all"], ["all_sum"], keepdims=0),
        node("Div", ["red_sum", "all_sum"], ["dfi"]),
        node("Add", ["exact", "half"], ["raised"]),
        node("Floor", ["raised"], ["whole"]),
        node("Div", ["whole", "base"], ["ratio"]),
        node("Floor", ["ratio"], ["high"]),
        node("Mul", ["high", "base"], ["high_counts"]),
        node("Sub", ["whole", "high_counts"], ["low"]),
        node("Unsqueeze", ["low", "last"], ["low_byte"]),
        node("Unsqueeze", ["high", "last"], ["high_byte"]),
        node("Concat", ["low_byte", "high_byte"], ["bytes"], axis=-1),
        node("Cast", ["bytes"], ["stains"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "bytes",
        [helper.make_tensor_value_info("brightfield", TensorProto.UINT8, ["batch", 1, SIDE, SIDE, 2])],
        [
            helper.make_tensor_value_info("stains", TensorProto.UINT8, ["batch", 2, SIDE, SIDE, 2]),
            helper.make_tensor_value_info("dfi", TensorProto.FLOAT, ["batch"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def test_sixteen_bit_counts_pass_as_bytes_on_both_sides(runtime: Runtime, make_model: Callable[..., Path]) -> None:
    from tests.edge.conftest import known_manifest
    from vsf_export.bundle import reference_files

    manifest = known_manifest()
    counts = np.random.default_rng(0).integers(0, 2**15, (2, 1, SIDE, SIDE)) * 2  # even, so that half is whole
    brightfield = counts.astype(np.float32)
    expected = {
        "stains": brightfield * np.array([1, 0.5], np.float32).reshape(1, 2, 1, 1),
        "dfi": np.full(2, 1 / 3, np.float32),
    }
    path = make_model(
        {
            "input": {**manifest["input"], "dtype": "uint16", "full_scale": 65535.0},
            "output": {**manifest["output"], "dtype": "uint16"},
            "stains": [{"name": "dsDNA", "full_scale": 65535.0}, {"name": "ssDNA", "full_scale": 65535.0}],
        },
        {"model.fp32.onnx": byte_graph(), **reference_files(brightfield, expected)},
    )
    with open_bundle(path) as bundle:
        session = runtime.open(bundle)
        assert measure(bundle, session).stains_counts == {"dsDNA": 0.0, "ssDNA": 0.0}
        np.testing.assert_array_equal(session.run(counts.astype(np.uint16))["stains"], expected["stains"])


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=4, max_dims=4, max_side=4)))
def test_bytes_and_counts_are_the_same_thing(counts: np.ndarray) -> None:
    assert encode(counts, "uint16").dtype == np.uint8
    np.testing.assert_array_equal(decode(encode(counts, "uint16"), "uint16"), counts)
    np.testing.assert_array_equal(encode(counts.astype(np.float32), "uint16"), encode(counts, "uint16"))


def test_counts_of_the_right_type_are_not_copied() -> None:
    frame = np.zeros((1, 1, 4, 4), np.uint8)
    assert np.shares_memory(encode(frame, "uint8"), frame)
    wide = np.zeros((1, 1, 4, 4), np.uint16)
    assert np.shares_memory(encode(wide, "uint16"), wide)


@given(st.sampled_from([-1.0, 255.6, 300.0, float("nan"), float("inf")]))
def test_counts_that_do_not_fit_are_refused(count: float) -> None:
    with pytest.raises(EdgeError, match="do not fit into uint8"):
        encode(np.full((1, 1, 2, 2), count, np.float32), "uint8")
