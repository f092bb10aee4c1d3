"""Traces the measurement into ONNX, and checks the result as every reader would."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch.export import Dim

from vsf_export.operators import problems
from vsf_export.reductions import lower_reductions
from vsf_export.staining_graph import INPUT, StainingGraph
from vsframework import VsfError

MAX_GRAPH_BYTES = 2**31 - 1  # of one protobuf message
IR_VERSION = 8  # of opset 17; old readers refuse a newer number, and nothing newer is used


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What sizes a graph takes, in pixels and images.

    Attributes
    ----------
    channels, stride
        Planes, and what height and width are multiples of.
    size
        Side of a training patch.
    max_side
        The largest height and width; equal to `size` where the graph takes patches only.
    max_batch
        The largest number of images at once that is promised.
    """

    channels: int
    stride: int
    size: int
    max_side: int
    max_batch: int

    @property
    def any_size(self) -> bool:
        """Whether height and width are free."""
        return self.max_side != self.size


def trace(graph: StainingGraph, limits: Limits, opset: int) -> bytes:
    """Give `graph` as the bytes of a checked ONNX model: batch dynamic, height and width too where `limits` say so.

    Raises
    ------
    VsfError
        When torch cannot trace it, or the result is not valid ONNX, or holds what some runtime does not take.
    """
    shape, sides = dynamic_shapes(limits)
    example = graph.example(2, limits.channels, *sides)  # a batch of 1 would become a constant
    try:
        with quiet():
            program = torch.onnx.export(
                graph,
                (example,),
                input_names=[INPUT],
                output_names=graph.outputs,
                opset_version=opset,
                dynamic_shapes=(shape,),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        line = " ".join(str(error).split())[:300]
        sizes = "; only patches can be exported: leave max_side out" if limits.any_size else ""
        raise VsfError(f"torch cannot trace these networks with their quantifier into ONNX: {line}{sizes}") from error
    if program is None:
        raise VsfError("torch gave no ONNX program for these networks")
    model = program.model_proto
    _forget_sources(model)
    if opset == 17 and any(item.domain in ("", "ai.onnx") and item.version == 18 for item in model.opset_import):
        lower_reductions(model)
    model.ir_version = min(model.ir_version, IR_VERSION) if opset <= 17 else model.ir_version
    return checked(model, opset)


def dynamic_shapes(limits: Limits) -> tuple[dict[int, Any], tuple[int, int]]:
    """Give what of [N, C, H, W] is free, as torch.export takes it, and the sides of an example to trace with."""
    shape: dict[int, Any] = {0: Dim("batch", min=1, max=limits.max_batch)}
    if not limits.any_size:
        return shape, (limits.size, limits.size)
    stride, most = limits.stride, limits.max_side // limits.stride
    shape |= {2: stride * Dim("rows", min=1, max=most), 3: stride * Dim("columns", min=1, max=most)}
    return shape, (2 * stride, 3 * stride)  # 0 and 1 are special to torch, and equal sides would stay equal


def checked(model: onnx.ModelProto, opset: int) -> bytes:
    """Give `model` as bytes.

    Raises
    ------
    VsfError
        When it is too large, invalid, or some runtime would not take it.
    """
    if model.ByteSize() > MAX_GRAPH_BYTES:
        raise VsfError(
            f"the graph has {model.ByteSize()} bytes and ONNX holds 2 GiB in one file: train a smaller generator"
        )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VsfError(f"torch wrote a graph that is not valid ONNX: {' '.join(str(error).split())[:300]}") from error
    written = {item.version for item in model.opset_import if item.domain in ("", "ai.onnx")}
    if written != {opset}:
        raise VsfError(f"torch wrote ONNX opset {written} where {opset} was asked for")
    content: bytes = model.SerializeToString(deterministic=True)
    found = problems(content)
    if found:
        raise VsfError(
            f"the graph holds what not every runtime takes ({'; '.join(found[:5])}): change the generator or quantifier"
        )
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """Keep notes of torch and of converters on their own internals from the user; the checks afterwards count."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "root", None)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _forget_sources(model: onnx.ModelProto) -> None:
    """Remove torch's notes on where each node comes from: they hold paths of this machine, and differ between two."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
