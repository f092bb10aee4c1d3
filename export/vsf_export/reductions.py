"""Opset 18 to 17, where reductions alone differ: their axes were an attribute before they became an input.

torch writes opset 18 and its converter leaves a graph with such reductions as it is, although TensorRT 8.6 and older
runtimes would take it in the older form.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

REDUCTIONS = frozenset(
    {
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSumSquare",
    }
)
"""``ReduceSum`` took its axes as an input from opset 13 on."""


def lower_reductions(model: onnx.ModelProto) -> None:
    """Change `model` from opset 18 to 17 in place; what differs elsewhere is for the checker of ONNX to find."""
    constants = _constants(model)
    for node in model.graph.node:
        if node.op_type not in REDUCTIONS or len(node.input) < 2:
            continue
        axes = constants.get(node.input[1])
        if axes is None:
            continue  # computed axes have no older form; the checker will say so
        del node.input[1:]
        kept = [item for item in node.attribute if item.name != "noop_with_empty_axes"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("axes", axes.reshape(-1).tolist())])
    for item in model.opset_import:
        if item.domain in ("", "ai.onnx"):
            item.version = 17
    _forget_unused(model)


def _constants(model: onnx.ModelProto) -> Mapping[str, npt.NDArray[np.int64]]:
    found = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer if len(item.dims) <= 1}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for item in node.attribute:
                if item.name == "value":
                    found[node.output[0]] = numpy_helper.to_array(item.t)
    return found


def _forget_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input} | {item.name for item in model.graph.output}
    kept = [item for item in model.graph.initializer if item.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
