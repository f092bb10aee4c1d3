"""Small generators, and the spec that an export of them needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vsframework.interfaces import ExportSpec, Quantity

SIDE = 16


class Share:
    """ssDNA / (ssDNA + dsDNA), and the sum of both."""

    quantities = (
        Quantity(name="share", unit="1", description="Part of the second stain."),
        Quantity(name="total", unit="counts", description="Sum of both stains."),
    )

    def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
        double, single = (stains[..., channels.index(name), :, :].sum((-2, -1)) for name in ("dsDNA", "ssDNA"))
        return {"share": single / (single + double), "total": single + double}


def small_generator(out_channels: int = 1, norm: type[nn.Module] = nn.BatchNorm2d, dropout: float = 0.5) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 4, stride=2, padding=1),
        norm(4),
        nn.LeakyReLU(0.2),
        nn.Dropout(dropout),
        nn.ConvTranspose2d(4, out_channels, 4, stride=2, padding=1),
        nn.Tanh(),
    )


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., ExportSpec]:
    def make(**changes: Any) -> ExportSpec:
        reference = np.random.default_rng(0).integers(0, 256, (3, 1, SIDE, SIDE)).astype(np.float32)
        values: dict[str, Any] = {
            "in_channels": 1,
            "stains": ("dsDNA", "ssDNA"),
            "image_size": SIDE,
            "stride": 2,
            "brightfield_full_scale": 255.0,
            "stain_full_scale": (154.0, 39.0),
            "quantifier": Share(),
            "reference": reference,
            "metadata": {"experiment": "small"},
        }
        return ExportSpec(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def generators() -> list[nn.Module]:
    """One per stain, in deploy form, with running statistics that are not trivial."""
    torch.manual_seed(0)
    made = [small_generator() for _ in range(2)]
    for generator in made:
        generator(torch.randn(4, 1, SIDE, SIDE))
        generator.eval()
    return made


@pytest.fixture(scope="session")
def double() -> ModuleType:
    """The module ``tensorrt_double`` beside this file (tests are no package, so it cannot be imported by name)."""
    path = Path(__file__).with_name("tensorrt_double.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def make_rtx() -> Callable[..., Any]:
    """Make the target of TensorRT for RTX; the test is skipped, with the reason, where its wheels are absent."""
    from vsframework.plugins import registry

    def make(params: Mapping[str, Any]) -> Any:
        target = registry().create("export-target", "tensorrt-rtx", dict(params))
        if target.unavailable():
            pytest.skip(target.unavailable())
        return target

    return make
