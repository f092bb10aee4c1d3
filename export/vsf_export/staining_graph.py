"""The whole measurement as one module: a camera frame or patch in, stains in counts and quantities out."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from vsf_edge.border import LARGEST
from vsframework import VsfError
from vsframework.interfaces import ExportSpec

INPUT = "brightfield"
STAINS = "stains"
NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
"""Layers whose sums of squares can leave the range of float16 (65504): they stay float32 in a half graph."""


class StainingGraph(nn.Module):
    """Normalise, generate, return to counts, measure.

    Takes brightfield in counts; gives stains in counts, >= 0, then each quantity float32 [N] in the order of the
    quantifier, measured before the stains are rounded. So nothing about the numbers is left to whoever runs it.

    Parameters
    ----------
    generators, spec
        What is exported.
    source, result
        How frames enter and stains leave: see :mod:`vsf_edge.border`.
    half
        Whether the generators compute in float16; normalisation, norms, stains and quantities are float32 always.
    """

    def __init__(
        self,
        generators: Sequence[nn.Module],
        spec: ExportSpec,
        *,
        source: str = "float32",
        result: str = "float32",
        half: bool = False,
    ) -> None:
        super().__init__()
        copies = (copy.deepcopy(generator).cpu().float() for generator in generators)
        self.generators = nn.ModuleList(_in_half(network) if half else network for network in copies)
        self.source, self.result, self.half_precision = source, result, half
        self._gain = 2 / spec.brightfield_full_scale
        self._stains = list(spec.stains)
        self._quantifier = spec.quantifier
        self._quantities = [quantity.name for quantity in spec.quantifier.quantities]
        scale = torch.tensor(spec.stain_full_scale, dtype=torch.float32).reshape(1, -1, 1, 1) / 2
        self.register_buffer("half_scale", scale)
        self.half_scale: torch.Tensor
        self.requires_grad_(False)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs in order."""
        return [STAINS, *self._quantities]

    def example(self, batch: int, channels: int, height: int, width: int) -> torch.Tensor:
        """Give an input of zeros of the type and layout that the graph takes."""
        if self.source == "float32":
            return torch.zeros(batch, channels, height, width)
        shape = (batch, channels, height, width, *((2,) if self.source == "uint16" else ()))
        return torch.zeros(shape, dtype=torch.uint8)

    def forward(self, brightfield: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Stain and measure `brightfield` [N, C, H, W] (and [..., 2] bytes for uint16), counts.

        Raises
        ------
        VsfError
            When the generators do not give one channel per stain of the input's height and width.
        """
        counts = _read(brightfield, self.source)
        normalised = counts * self._gain - 1
        if self.half_precision:
            normalised = normalised.half()
        outputs = [generator(normalised) for generator in self.generators]
        generated = torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0]
        expected = (self.half_scale.shape[1], *counts.shape[2:])
        if tuple(generated.shape[1:]) != expected:  # one channel too few would be broadcast without a word
            raise VsfError(
                f"the generators give stains of the shape {tuple(generated.shape[1:])}, and it should be {expected}"
            )
        stains = ((generated.float() + 1) * self.half_scale).clamp_min(0)
        values = self._quantifier.measure(stains, self._stains)
        return (_write(stains, self.result), *(values[name].to(torch.float32) for name in self._quantities))


def _read(brightfield: torch.Tensor, dtype: str) -> torch.Tensor:
    values = brightfield.to(torch.float32)
    return values[..., 0] + 256 * values[..., 1] if dtype == "uint16" else values


def _write(stains: torch.Tensor, dtype: str) -> torch.Tensor:
    """Round to whole counts: a cast truncates, and what it does beyond its range is undefined."""
    if dtype == "float32":
        return stains
    rounded = (stains + 0.5).clamp(0, LARGEST[dtype])
    if dtype == "uint8":
        return rounded.to(torch.uint8)
    whole = rounded.floor()
    high = (whole / 256).floor()
    return torch.stack([whole - 256 * high, high], dim=-1).to(torch.uint8)


class _InFloat32(nn.Module):
    """A layer that computes in float32 between layers of float16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x.float())
        return result.half()


def _in_half(network: nn.Module) -> nn.Module:
    """Turn `network` to float16 in place, all but its norms."""
    if isinstance(network, NORMS):
        return _InFloat32(network)
    network.half()
    for module in list(network.modules()):
        if isinstance(module, _InFloat32):
            continue
        for name, child in list(module.named_children()):
            if isinstance(child, NORMS) and not isinstance(module, _InFloat32):
                setattr(module, name, _InFloat32(child))
    return network
