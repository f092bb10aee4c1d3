"""pix2pix and pix2pix++ are the paper's networks, and their deploy form measures."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vsf_plugins.generators.pix2pix import PIX2PIX, PIX2PIX_PLUS_PLUS
from vsframework import UsageError
from vsframework.interfaces import Generator
from vsframework.plugins import registry

SMALL: dict[str, Any] = {"width": 4, "depth": 3, "discriminator_halvings": 2}


def count(network: nn.Module | None) -> int:
    assert network is not None
    return sum(weight.numel() for weight in network.parameters())


def trained(architecture: Generator, size: int = 16) -> nn.Module:
    """A generator whose running statistics are not those of a fresh one."""
    torch.manual_seed(0)
    generator = architecture.networks(1, 1, size).generator
    for _ in range(3):
        generator(torch.rand(2, 1, size, size) * 2 - 1)
    return generator


def test_the_paper_s_networks_have_the_parameters_of_their_lineage() -> None:
    built = PIX2PIX.create().networks(1, 1, 256)
    assert count(built.generator) == 54_413_313
    assert count(built.discriminator) == 6_961_345


def test_the_discriminator_gives_a_16x16_grid_of_logits_that_see_142_px() -> None:
    discriminator = PIX2PIX.create({"discriminator_norm": "none", "width": 4}).networks(1, 1, 256).discriminator
    pair = torch.rand(1, 2, 256, 256, requires_grad=True)
    logits = discriminator(pair)
    assert logits.shape == (1, 1, 16, 16)
    logits[0, 0, 8, 8].backward()
    assert pair.grad is not None
    touched = pair.grad.abs().sum(dim=(0, 1)) > 0
    assert touched.any(dim=0).sum() == touched.any(dim=1).sum() == discriminator.receptive_field == 142


def test_initial_weights_are_drawn_as_the_lineage_does_or_as_asked() -> None:
    torch.manual_seed(0)
    generator = PIX2PIX.create({"width": 16, "depth": 5}).networks(1, 1, 32).generator
    kernels = torch.cat([module.weight.flatten() for module in generator.modules() if hasattr(module, "kernel_size")])
    assert kernels.std().item() == pytest.approx(0.02, rel=0.02)
    assert abs(kernels.mean().item()) < 1e-4
    scales = [module.weight for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(bool((scale == 1).all()) for scale in scales)
    other = PIX2PIX.create({"width": 16, "depth": 5, "norm_scale_std": 0.02}).networks(1, 1, 32).generator
    drawn = torch.cat([module.weight for module in other.modules() if isinstance(module, nn.BatchNorm2d)])
    assert drawn.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("component", [PIX2PIX, PIX2PIX_PLUS_PLUS], ids=lambda component: component.name)
@settings(max_examples=6, deadline=None)
@given(
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 3),
    rows=st.integers(2, 4),
    columns=st.integers(2, 4),
    depth=st.integers(2, 4),
)
def test_any_multiple_of_the_stride_and_any_channels_give_stains_of_the_same_size(
    component: Any, norm: str, inputs: int, outputs: int, rows: int, columns: int, depth: int
) -> None:
    architecture = component.create({**SMALL, "depth": depth, "norm": norm})
    assert architecture.stride == 2**depth
    built = architecture.networks(inputs, outputs, 2 * architecture.stride)
    brightfield = torch.rand(2, inputs, rows * architecture.stride, columns * architecture.stride) * 2 - 1
    stains = built.generator(brightfield)
    assert stains.shape == (2, outputs, *brightfield.shape[2:])
    assert float(stains.detach().abs().max()) <= 1
    logits = built.discriminator(torch.cat([brightfield, stains], dim=1))
    assert logits.shape[:2] == (2, 1)
    assert bool(logits.isfinite().all())


@pytest.mark.parametrize("size", [100, 20, 4])
def test_patches_that_do_not_fit_are_refused_with_what_to_do(size: int) -> None:
    with pytest.raises(UsageError, match=rf"{size} px.*multiple of 8 px.*generator.depth to at most 2"):
        PIX2PIX.create(SMALL).networks(1, 1, size)


def test_patches_too_small_for_the_discriminator_are_refused() -> None:
    with pytest.raises(UsageError, match="discriminator_halvings"):
        PIX2PIX.create({"depth": 2, "discriminator_halvings": 5}).networks(1, 1, 16)


def test_training_mode_is_the_paper_s_dropout_and_all() -> None:
    generator = trained(PIX2PIX.create(SMALL))
    image = torch.rand(1, 1, 16, 16)
    assert not torch.equal(generator(image), generator(image))


@pytest.mark.parametrize("statistics", ["running", "image"])
def test_deploy_does_not_depend_on_chance_or_on_the_rest_of_the_batch(statistics: str) -> None:
    architecture = PIX2PIX.create({**SMALL, "deploy_statistics": statistics})
    deployed = architecture.deploy(trained(architecture))
    images = torch.rand(4, 1, 16, 16) * 2 - 1
    together = deployed(images)
    torch.testing.assert_close(together, torch.cat([deployed(image[None]) for image in images]))
    assert torch.equal(together, deployed(images))


def test_deploy_with_running_statistics_does_not_depend_on_what_lies_far_away() -> None:
    architecture = PIX2PIX.create({**SMALL, "depth": 2, "deploy_statistics": "running"})
    deployed = architecture.deploy(trained(architecture))
    image = torch.rand(1, 1, 64, 64) * 2 - 1
    changed = image.clone()
    changed[..., 48:] = 1.0
    torch.testing.assert_close(deployed(image)[..., :24], deployed(changed)[..., :24])


def test_deploy_with_image_statistics_is_what_batch_size_1_trained() -> None:
    architecture = PIX2PIX.create({**SMALL, "dropout": 0.0, "deploy_statistics": "image"})
    generator = trained(architecture)
    image = torch.rand(1, 1, 16, 16) * 2 - 1
    deployed = architecture.deploy(generator)
    torch.testing.assert_close(deployed(image), generator(image).detach(), atol=1e-5, rtol=1e-4)


def test_deploy_leaves_the_trained_generator_as_it_was() -> None:
    architecture = PIX2PIX.create({**SMALL, "deploy_statistics": "image"})
    generator = trained(architecture)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    architecture.deploy(generator)(torch.rand(1, 1, 16, 16))
    assert generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_pix2pix_plus_plus_bounds_every_convolution_of_the_discriminator() -> None:
    torch.manual_seed(0)
    discriminator = PIX2PIX_PLUS_PLUS.create(SMALL).networks(1, 1, 16).discriminator
    for _ in range(100):  # power iterations
        discriminator(torch.rand(1, 2, 16, 16))
    largest = [torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() for layer in discriminator.convolutions]
    assert largest == pytest.approx([1.0] * 4, abs=1e-3)


def test_plain_pix2pix_is_not_bounded() -> None:
    discriminator = PIX2PIX.create(SMALL).networks(1, 1, 16).discriminator
    largest = [torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() for layer in discriminator.convolutions]
    assert max(largest) < 0.9


def test_listing_the_generators_imports_no_torch() -> None:
    code = (
        "import sys; from vsframework.plugins import registry; "
        "names = [entry.component.name for entry in registry().entries('generator')]; "
        "assert {'pix2pix', 'pix2pix++'} <= set(names), names; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["pix2pix", "pix2pix++"])
def test_the_registry_builds_them(name: str) -> None:
    assert isinstance(registry().create("generator", name, SMALL), Generator)
