"""The whole measurement as one module: counts in, stains in counts and quantities out."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from vsframework import VsfError
from vsframework.interfaces import ExportSpec

INPUT = "brightfield"
STAINS = "stains"


class StainingGraph(nn.Module):
    """Normalise, generate, return to counts, measure.

    Takes brightfield float32 [N, C, H, W] in counts; gives stains float32 [N, S, H, W] in counts, >= 0, then each
    quantity float32 [N] in the order of the quantifier. So nothing about the numbers is left to whoever runs it.
    """

    def __init__(self, generators: Sequence[nn.Module], spec: ExportSpec) -> None:
        super().__init__()
        self.generators = nn.ModuleList(copy.deepcopy(generator).cpu().float() for generator in generators)
        self._gain = 2 / spec.brightfield_full_scale
        self._stains = list(spec.stains)
        self._quantifier = spec.quantifier
        self._quantities = [quantity.name for quantity in spec.quantifier.quantities]
        half = torch.tensor(spec.stain_full_scale, dtype=torch.float32).reshape(1, -1, 1, 1) / 2
        self.register_buffer("half_scale", half)
        self.half_scale: torch.Tensor
        self.requires_grad_(False)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs in order."""
        return [STAINS, *self._quantities]

    def forward(self, brightfield: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Stain and measure `brightfield` [N, C, H, W], counts.

        Raises
        ------
        VsfError
            When the generators do not give one channel per stain of the input's height and width.
        """
        normalised = brightfield * self._gain - 1
        outputs = [generator(normalised) for generator in self.generators]
        generated = torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0]
        expected = (self.half_scale.shape[1], *brightfield.shape[2:])
        if tuple(generated.shape[1:]) != expected:  # one channel too few would be broadcast without a word
            raise VsfError(
                f"the generators give stains of the shape {tuple(generated.shape[1:])}, and it should be {expected}"
            )
        stains = ((generated + 1) * self.half_scale).clamp_min(0)
        values = self._quantifier.measure(stains, self._stains)
        return (stains, *(values[name].to(torch.float32) for name in self._quantities))
