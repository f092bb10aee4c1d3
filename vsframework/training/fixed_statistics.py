"""Deploy mode in training: normalisation by statistics that are measured once and then held, and no dropout.

A network that normalises with the statistics of its batch or of its image stains a cell by what else is there. In
deploy mode each such layer takes the statistics of all training patches instead, from some epoch on, and training goes
on with them: what is measured and exported is the very function that was trained. Before that epoch the layer does
what its author built, because deep networks do not start to learn without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import batch_norm, group_norm, instance_norm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

Kind = Literal["batch", "instance", "group"]


class FixableNorm(nn.Module):
    """Does what the batch, instance or group normalisation `layer` does, until its statistics are held.

    Attributes
    ----------
    weight, bias
        Of `layer`, under the same names; trained throughout.
    mean, variance
        float32 [channels]: of all training patches and pixels, once `hold_statistics` has measured them.
    held
        Whether `mean` and `variance` are used. It does not follow ``train()`` and ``eval()``.
    """

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.kind: Kind = _kind(layer)
        self.eps: float = float(layer.eps)  # type: ignore[arg-type]
        weight, bias = layer.weight, layer.bias
        self.weight = weight if isinstance(weight, nn.Parameter) else None
        self.bias = bias if isinstance(bias, nn.Parameter) else None
        channels = int(layer.num_channels if isinstance(layer, nn.GroupNorm) else layer.num_features)  # type: ignore[arg-type]
        self.groups = layer.num_groups if isinstance(layer, nn.GroupNorm) else channels
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.held = False
        self._sums: _Sums | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take [N, channels, ...] to the same shape."""
        if self._sums is not None:
            self._sums.add(x)
        if self.held:
            return batch_norm(x, self.mean, self.variance, self.weight, self.bias, training=False, eps=self.eps)
        if self.kind == "batch":
            return batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        if self.kind == "instance":
            return instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        return group_norm(x, self.groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Say what it is."""
        return f"{self.kind}, {len(self.mean)}, {'held' if self.held else 'free'}"

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measure `mean` and `variance` over everything that comes through inside."""
        self._sums = _Sums(self.groups, self.mean.device)
        try:
            yield
            mean, variance = self._sums.moments()
        finally:
            self._sums = None
        each = len(self.mean) // self.groups
        self.mean.copy_(mean.repeat_interleave(each))
        self.variance.copy_(variance.repeat_interleave(each))


class _Sums:
    """Of values and squares per group, in float64."""

    def __init__(self, groups: int, device: torch.device) -> None:
        precise = torch.float64 if device.type != "mps" else torch.float32
        self._count = 0
        self._groups = groups
        self._sum = torch.zeros(groups, dtype=precise, device=device)
        self._squares = torch.zeros(groups, dtype=precise, device=device)

    def add(self, x: torch.Tensor) -> None:
        grouped = x.detach().reshape(len(x), self._groups, -1).to(self._sum.dtype)
        self._count += len(x) * grouped.shape[2]
        self._sum += grouped.sum((0, 2))
        self._squares += grouped.square().sum((0, 2))

    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self._sum / self._count
        return mean.float(), (self._squares / self._count - mean.square()).clamp_min(0).float()


def make_fixable(generator: nn.Module) -> nn.Module:
    """Put a `FixableNorm` in place of every normalisation of `generator` and take its dropout out; gives it back.

    Batch, instance and group normalisation of torch are known; a layer of another kind is left as it is. The names in
    the state of `generator` stay, but for the statistics of batch normalisation, which are ``mean`` and ``variance``.
    """
    if _is_norm(generator):
        return FixableNorm(generator)
    for module in list(generator.modules()):
        for name, child in list(module.named_children()):
            if _is_norm(child):
                setattr(module, name, FixableNorm(child))
            elif isinstance(child, _DropoutNd):
                setattr(module, name, nn.Identity())
    return generator


def hold_statistics(generator: nn.Module, brightfield: Iterable[torch.Tensor] | None = None) -> nn.Module:
    """Let every `FixableNorm` of `generator` use held statistics from now on; gives `generator` back.

    Parameters
    ----------
    brightfield
        Batches [N, in_channels, H, W] in [-1, 1], over which they are measured first, in one pass; None where they
        were measured before (a state that was loaded, for example).
    """
    norms = fixable_norms(generator)
    if brightfield is not None and norms:
        device = norms[0].mean.device
        with torch.no_grad(), _all_measuring(norms):
            for batch in brightfield:
                generator(batch.to(device))
    for norm in norms:
        norm.held = True
    return generator


def fixable_norms(generator: nn.Module) -> list[FixableNorm]:
    """Give every `FixableNorm` of `generator`; none where it was not built for deploy mode, or normalises nothing."""
    return [module for module in generator.modules() if isinstance(module, FixableNorm)]


def first_held_epoch(epochs: int, share: float) -> int:
    """Give the epoch (from 1 on) at whose start statistics are measured and held, for the last `share` of `epochs`.

    Examples
    --------
    >>> first_held_epoch(10, 0.5), first_held_epoch(10, 1.0), first_held_epoch(1, 0.5)
    (6, 1, 1)
    """
    return epochs - max(1, math.ceil(share * epochs)) + 1


@contextmanager
def _all_measuring(norms: Iterable[FixableNorm]) -> Iterator[None]:
    with ExitStack() as stack:
        for norm in norms:
            stack.enter_context(norm.measuring())
        yield


def _is_norm(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm | _InstanceNorm | nn.GroupNorm)


def _kind(layer: nn.Module) -> Kind:
    if isinstance(layer, nn.GroupNorm):
        return "group"
    return "instance" if isinstance(layer, _InstanceNorm) else "batch"
