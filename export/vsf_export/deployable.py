"""Refuses networks whose answer for a cell depends on chance or on the other cells of its batch.

A generator in training mode has batch statistics and dropout: exported like that, ONNX output differs from torch's,
and the DFI of a cell from one batch to the next. Layers are looked at by name first, for a clear message; then the
behaviour is measured, which also finds what a network does in functional form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from vsf_export.staining_graph import StainingGraph
from vsframework import VsfError

ADVICE = "export the generator's deploy() form"
SAME = 1e-3
"""How far a cell's stains may move with its batch, as a part of full scale: other kernels round differently."""


def check_layers(generators: Sequence[nn.Module]) -> None:
    """Refuse active dropout and batch normalisation that uses the batch.

    Raises
    ------
    VsfError
        Names the layer.
    """
    for number, generator in enumerate(generators):
        for name, module in generator.named_modules():
            layer = f"layer {name or 'itself'} ({type(module).__name__}) of generator {number}"
            if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
                raise VsfError(f"{layer} depends on the other cells of the batch: {ADVICE}")
            if isinstance(module, (_DropoutNd, nn.RReLU)) and module.training and getattr(module, "p", 1) > 0:
                raise VsfError(f"{layer} is random: {ADVICE}")


def check_behaviour(graph: StainingGraph, reference: torch.Tensor) -> None:
    """Run `graph` twice on a patch, and once beside another one: the stains must stay.

    Raises
    ------
    VsfError
        When they do not, are not numbers, or have a wrong shape.
    """
    full_scale = 2 * graph.half_scale
    patch = reference[:1]
    with torch.inference_mode():
        first = graph(patch)[0]
        if not bool(first.isfinite().all()):
            raise VsfError("the generators give values that are not numbers: train the run again")
        if not torch.equal(first, graph(patch)[0]):
            raise VsfError(f"the generators give another answer each time (active dropout or noise): {ADVICE}")
        beside = graph(torch.cat([patch, 0.5 * patch.flip(-1)]))[0][:1]
        moved = float(((first - beside).abs() / full_scale).max())
    if moved > SAME:
        raise VsfError(f"a cell's stains move by {moved:.2g} of full scale with the other cells of its batch: {ADVICE}")
