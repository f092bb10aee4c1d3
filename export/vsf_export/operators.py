"""Which ONNX operators, of which types, every runtime that we export for takes.

The table is what two support matrices of NVIDIA's ONNX parser have in common: ``docs/operators.md`` of
github.com/onnx/onnx-tensorrt at the releases 8.6 (opset up to 17) and 10.0 (opset 9 to 20). The parser of TensorRT 11
and of TensorRT-RTX is the successor of the second; the tests let the real one of TensorRT-RTX take every built-in
generator. ONNX Runtime and OpenVINO take more than this; the tests run every built-in generator in both.
int64 is read as int32 by TensorRT 8.6, which is enough for shapes and indices. bfloat16, int8 arithmetic and double are
left out on purpose: a graph of ours has no use for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx
from onnx import TensorProto, helper

OPSETS = (17, 20)
"""The lowest and the highest that may be asked for: TensorRT 8.6 reads up to 17, TensorRT 10.0 up to 20."""

_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})
_NUMBERS = _FLOATS | {TensorProto.INT32, TensorProto.INT64}
_ANY = _NUMBERS | {TensorProto.BOOL}

_TABLE: tuple[tuple[frozenset[int], str], ...] = (
    (
        _FLOATS,
        "AveragePool BatchNormalization Clip Conv ConvTranspose Elu Erf Exp Floor Gemm GlobalAveragePool "
        "GroupNormalization HardSigmoid HardSwish InstanceNormalization LayerNormalization LeakyRelu Log MatMul "
        "MaxPool Pow PRelu QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Resize Round Selu "
        "Sigmoid Softmax Softplus Sqrt Tanh",
    ),
    (
        _NUMBERS,
        "Abs Add DepthToSpace Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Neg Pad Range Sign "
        "SpaceToDepth Sub Sum",
    ),
    (
        _ANY,
        "Concat Constant Expand Flatten Gather Identity Reshape Shape Slice Split Squeeze Tile Transpose Unsqueeze "
        "Where",
    ),
    (frozenset({TensorProto.BOOL}), "And Not Or"),
    (frozenset({TensorProto.FLOAT}), "ConstantOfShape"),
    (frozenset({TensorProto.INT8}), "DequantizeLinear"),
    (_ANY | {TensorProto.UINT8}, "Cast"),
)
OPERATORS: Mapping[str, frozenset[int]] = {name: types for types, names in _TABLE for name in names.split()}
"""Operator to the types of its data input (``onnx.TensorProto`` numbers)."""

_RESIZE = {"mode": ("nearest", "linear"), "nearest_mode": ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")}
_COORDINATES = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")


def problems(content: bytes) -> list[str]:
    """Say what in the ONNX model `content` some runtime would not take; empty where all is well.

    Checked are the opset, the operators, the type of what each works on, modes of enlargement, and zero points (which
    must be 0). uint8 may only enter and leave the graph.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
    found = [
        f"opset {item.version} of {item.domain or 'ai.onnx'}"
        for item in model.opset_import
        if item.domain not in ("", "ai.onnx") or not OPSETS[0] <= item.version <= OPSETS[1]
    ]
    types = _types(model.graph)
    constants = {item.name: item for item in model.graph.initializer}
    border = {item.name for item in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        found.extend(f"{node.op_type} ({node.name or 'unnamed'}): {problem}" for problem in _check(node, types))
        strays = [
            name for name in (*node.input, *node.output) if types.get(name) == TensorProto.UINT8 and name not in border
        ]
        if strays:
            found.append(f"{node.op_type} ({node.name or 'unnamed'}): uint8 inside the graph")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2:
            zero = constants.get(node.input[2])
            if zero is None or onnx.numpy_helper.to_array(zero).any():
                found.append(f"{node.op_type} ({node.name}): a zero point that is not 0")
    return found


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    types = {item.name: int(item.data_type) for item in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        types[value.name] = int(value.type.tensor_type.elem_type)
    return types


def _check(node: onnx.NodeProto, types: Mapping[str, int]) -> Iterator[str]:
    allowed = OPERATORS.get(node.op_type)
    if allowed is None:
        yield "not every runtime has this operator"
        return
    if node.op_type == "Constant" or node.op_type == "ConstantOfShape":
        subject = types.get(node.output[0])
    else:
        subject = types.get(node.input[1 if node.op_type == "Where" else 0])
    if subject is None:
        yield "its type is unknown"
    elif subject not in allowed:
        yield f"not for {helper.tensor_dtype_to_string(subject)}"
    if node.op_type == "Cast" and types.get(node.output[0]) not in allowed:
        yield "a cast to a type that not every runtime has"
    if node.op_type == "Resize":
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        for name, known in (*_RESIZE.items(), ("coordinate_transformation_mode", _COORDINATES)):
            value = attributes.get(name, known[0].encode())
            if value.decode() not in known:
                yield f"{name} {value.decode()}"
        if attributes.get("antialias"):
            yield "antialias"
