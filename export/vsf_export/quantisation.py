"""int8: quantise and dequantise nodes around the convolutions, calibrated on patches of the training donors.

ONNX Runtime's static quantisation, in the one form that NVIDIA's parser takes: symmetric (every zero point 0), int8 for
activations and weights, one scale per filter, biases left in float32. Normalisation, norms, the quantifier and the
first and the last convolution of a generator stay in float32: those two carry the counts in and out, cost little, and
hold most of the error. Measured on a trained `fast` (docs/export.md): a range from the smallest to the
largest value drifts less than one that cuts outliers off, since a stain's brightest pixels are such outliers.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx

from vsf_export.staining_graph import INPUT
from vsf_export.tracing import checked, quiet
from vsframework import VsfError

KINDS = ("Conv", "ConvTranspose")
HEAVY = (*KINDS, "Gemm", "MatMul")
"""Operators that hold nearly all of the weights and of the arithmetic."""


def quantise(content: bytes, frames: Sequence[npt.NDArray[Any]], opset: int) -> bytes:
    """Give the float32 model `content` with its inner convolutions in int8.

    Parameters
    ----------
    frames
        Inputs of the graph, one batch each, as its border takes them; the ranges of all activations come from them.

    Raises
    ------
    VsfError
        When there is nothing to quantise.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Frames(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest: Iterator[npt.NDArray[Any]] = iter(frames)

        def get_next(self) -> dict[str, Any] | None:
            frame = next(self._rest, None)
            return None if frame is None else {INPUT: frame}

    model = onnx.load_from_string(content)
    chosen = inner_convolutions(model)
    if not chosen:
        raise VsfError("int8 needs a generator of more than two convolutions: export fp16 or fp32")
    with tempfile.TemporaryDirectory(prefix="vsf-int8-") as folder, quiet(), contextlib.redirect_stdout(io.StringIO()):
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(content)
        quantize_static(
            source,
            target,
            Frames(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(KINDS),
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
            },
        )
        quantised = onnx.load(target)
    quantised.ir_version = model.ir_version
    quantised.producer_name, quantised.producer_version = model.producer_name, model.producer_version
    del quantised.metadata_props[:]
    return checked(quantised, opset)


def inner_convolutions(model: onnx.ModelProto) -> list[str]:
    """Name the convolutions but those that see the input or give the output of a generator."""
    nodes = model.graph.node
    behind = _reached(nodes, forwards=True)
    before = _reached(reversed(nodes), forwards=False)
    return [node.name for node in nodes if node.op_type in KINDS and {*node.input} & behind and {*node.output} & before]


def _reached(nodes: Iterable[onnx.NodeProto], forwards: bool) -> set[str]:
    """Collect the tensors that lie behind (or before) some convolution; `nodes` in that order."""
    found: set[str] = set()
    for node in nodes:
        near, far = (node.input, node.output) if forwards else (node.output, node.input)
        if node.op_type in KINDS or found & {*near}:
            found.update(far)
    return found


def arithmetic(content: bytes) -> dict[str, int]:
    """Count the heavy operators of a model by the precision that they compute in: ``fp32``, ``fp16`` and ``int8``.

    An "fp16" whose weights are float32, or an "int8" without quantised convolutions, is found here.
    """
    model = onnx.load_from_string(content)
    constants = {item.name: item for item in model.graph.initializer}
    source = {name: node for node in model.graph.node for name in node.output}
    counts = {"fp32": 0, "fp16": 0, "int8": 0}
    for node in model.graph.node:
        if node.op_type not in HEAVY:
            continue
        weight = constants.get(node.input[1])
        makers = [source.get(name) for name in node.input[:2]]
        if all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers):
            counts["int8"] += 1
        elif weight is not None and weight.data_type == onnx.TensorProto.FLOAT16:
            counts["fp16"] += 1
        else:
            counts["fp32"] += 1
    return counts
