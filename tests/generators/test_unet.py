"""The residual U-Net takes any planes and sizes, leaves no checkerboard, and is one function in every form."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vsf_plugins.generators.unet import COMPONENT
from vsf_plugins.generators.unet_networks import Bilinear, PixelShuffle
from vsframework import UsageError

SMALL: dict[str, Any] = {"width": 8, "depth": 2, "discriminator_width": 4, "discriminator_halvings": 2}


@pytest.mark.parametrize("upsampling", ["bilinear", "pixel-shuffle"])
@settings(max_examples=8, deadline=None)
@given(
    planes=st.integers(1, 5),
    stains=st.integers(1, 3),
    width=st.sampled_from([4, 8, 12]),
    depth=st.integers(1, 4),
    blocks=st.integers(1, 2),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
)
def test_any_planes_depth_width_and_multiple_of_the_stride(
    upsampling: str, planes: int, stains: int, width: int, depth: int, blocks: int, rows: int, columns: int
) -> None:
    architecture = COMPONENT.create(
        {**SMALL, "width": width, "depth": depth, "blocks": blocks, "upsampling": upsampling}
    )
    assert architecture.stride == 2**depth
    networks = architecture.networks(planes, stains, 4 * 2**depth)
    brightfield = torch.rand(1, planes, rows * 2**depth, columns * 2**depth) * 2 - 1
    output = networks.generator(brightfield)
    assert output.shape == (1, stains, *brightfield.shape[2:])
    assert bool(output.isfinite().all())
    assert float(output.detach().abs().max()) <= 1


def test_deploying_changes_nothing_but_the_mode() -> None:
    torch.manual_seed(0)
    architecture = COMPONENT.create(SMALL)
    generator = architecture.networks(1, 2, 16).generator
    brightfield = torch.rand(3, 1, 16, 24) * 2 - 1
    deployed = architecture.deploy(generator)
    torch.testing.assert_close(deployed(brightfield), generator(brightfield).detach())
    assert not deployed.training
    assert not [module for module in deployed.modules() if isinstance(module, (nn.BatchNorm2d, nn.Dropout))]


@pytest.mark.parametrize("layer", [Bilinear, PixelShuffle])
def test_enlarging_a_flat_image_leaves_no_checkerboard(layer: type[nn.Module]) -> None:
    torch.manual_seed(0)
    flat = torch.rand(1, 6, 1, 1).expand(1, 6, 5, 5)
    large = layer(6, 3)(flat)
    assert large.shape == (1, 3, 10, 10)
    torch.testing.assert_close(large, large[..., :1, :1].expand_as(large))
    assert float(large.detach().std()) > 1e-3


@pytest.mark.parametrize("start", [-0.9, 0.5])
def test_untrained_stains_are_almost_what_start_says(start: float) -> None:
    torch.manual_seed(0)
    generator = COMPONENT.create({**SMALL, "start": start}).networks(1, 1, 64).generator
    with torch.no_grad():
        stains = generator(torch.rand(2, 1, 64, 64) * 2 - 1)
    assert float(stains.mean()) == pytest.approx(start, abs=0.1)


def test_the_level_of_the_brightfield_hardly_matters() -> None:
    """Group normalisation sees the whole patch, so a brighter lamp is not a brighter stain."""
    torch.manual_seed(0)
    generator = COMPONENT.create(SMALL).networks(1, 1, 64).generator
    head = torch.zeros(1, 1, 64, 64)
    head[..., 20:44, 20:44] = -0.5
    with torch.no_grad():
        level = (generator(head + 0.2) - generator(head)).abs().mean()
        content = (generator(-head) - generator(head)).abs().mean()
    assert float(level) < float(content)


@pytest.mark.parametrize("size", [66, 30])
def test_patches_that_do_not_fit_are_refused_with_what_to_do(size: int) -> None:
    with pytest.raises(UsageError, match=rf"{size} px.*multiple of 4 px.*generator.depth"):
        COMPONENT.create(SMALL).networks(1, 1, size)


def test_a_width_that_cannot_be_grouped_is_refused() -> None:
    with pytest.raises(UsageError, match="width"):
        COMPONENT.create({"width": 10})


def test_no_discriminator_where_none_is_asked_for() -> None:
    assert COMPONENT.create({**SMALL, "discriminator": "none"}).networks(1, 2, 64).discriminator is None
