"""The generator for the edge: within its budget, stable from the start, and the same when its kernels are folded."""

from __future__ import annotations

import collections
import logging
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from vsf_plugins.generators.fast import COMPONENT
from vsf_plugins.generators.fast_networks import FOLD, StandardisedConv2d, bilinear_places
from vsframework import UsageError

BUDGET_GFLOP = 0.35
SMALL: dict[str, Any] = {"width": 8, "discriminator_width": 4}


def generator(inputs: int = 1, outputs: int = 2, seed: int = 0, **params: Any) -> nn.Module:
    torch.manual_seed(seed)
    architecture = COMPONENT.create({**SMALL, **params})
    return architecture.networks(inputs, outputs, 2 * architecture.stride).generator


def shaken(network: nn.Module) -> nn.Module:
    """Move every weight, gain and bias, as training does."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return network


def test_both_stains_of_a_256_px_patch_are_within_the_budget() -> None:
    architecture = COMPONENT.create()
    deployed = architecture.deploy(architecture.networks(1, 2, 256).generator)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        deployed(torch.zeros(1, 1, 256, 256))
    assert 0.2 < counter.get_total_flops() / 1e9 <= BUDGET_GFLOP


@settings(max_examples=8, deadline=None)
@given(
    inputs=st.integers(1, 4),
    outputs=st.integers(1, 3),
    depth=st.integers(3, 6),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_folded_kernels_give_the_same_stains(
    inputs: int, outputs: int, depth: int, rows: int, columns: int, seed: int
) -> None:
    trained = shaken(generator(inputs, outputs, seed, depth=depth, width=4))
    deployed = COMPONENT.create({**SMALL, "width": 4, "depth": depth}).deploy(trained)
    brightfield = torch.rand(2, inputs, rows * 2**depth, columns * 2**depth) * 2 - 1
    with torch.no_grad():
        expected = trained(brightfield)
        assert expected.shape == (2, outputs, *brightfield.shape[2:])
        assert float(expected.std()) > 1e-3
        torch.testing.assert_close(deployed(brightfield), expected, atol=1e-5, rtol=1e-4)


def test_the_deployed_network_has_plain_convolutions_only() -> None:
    deployed = COMPONENT.create(SMALL).deploy(generator())
    convolutions = [module for module in deployed.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 15
    assert all(type(module) is nn.Conv2d for module in convolutions)
    assert not [module for module in deployed.modules() if "Norm" in type(module).__name__]


def test_the_exported_graph_has_operators_that_every_engine_takes() -> None:
    deployed = COMPONENT.create(SMALL).deploy(generator())
    example = torch.zeros(2, 1, 64, 64)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's notes on its own exporter
        program = torch.onnx.export(deployed, (example,), dynamo=True, opset_version=18, verbose=False)
    assert program is not None
    operators = collections.Counter(node.op_type for node in program.model_proto.graph.node)
    taken = {"Conv", "LeakyRelu", "Add", "Resize", "Reshape", "Transpose", "SpaceToDepth", "DepthToSpace", "Clip"}
    assert set(operators) <= taken
    assert operators["Conv"] == 15


@pytest.mark.parametrize(("depth", "least"), [(3, 60), (5, 171)])
def test_a_pixel_sees_two_thirds_of_the_patch(depth: int, least: int) -> None:
    network = generator(width=4, depth=depth)
    brightfield = torch.rand(1, 1, 512, 512, requires_grad=True)
    network(brightfield)[0, 0, 256, 256].backward()
    assert brightfield.grad is not None
    seen = (brightfield.grad.abs().sum(dim=(0, 1)) > 0).any(dim=0).nonzero()
    assert int(seen.max() - seen.min()) + 1 >= least


@pytest.mark.parametrize("start", [-0.9, 0.5])
def test_untrained_stains_are_almost_what_start_says(start: float) -> None:
    with torch.no_grad():
        stains = generator(start=start, width=24)(torch.rand(2, 1, 128, 128) * 2 - 1)
    assert float(stains.mean()) == pytest.approx(start, abs=0.05)


def test_the_start_is_a_bilinear_enlargement_without_blocks() -> None:
    low = torch.rand(1, 1, 6, 7)
    places = torch.nn.functional.conv2d(low, bilinear_places()[:, None], padding=1)
    expected = interpolate(low, scale_factor=FOLD, mode="bilinear", align_corners=False)
    inner = (..., slice(FOLD, -FOLD), slice(FOLD, -FOLD))  # a convolution pads with 0, not with the border
    torch.testing.assert_close(torch.nn.functional.pixel_shuffle(places, FOLD)[inner], expected[inner])

    with torch.no_grad():
        stains = generator(start=0.0, width=24)(torch.rand(4, 1, 128, 128) * 2 - 1)
    steps = stains.diff(dim=-1)[..., 8:-8].abs().mean(dim=(0, 1, 2))
    by_place = torch.stack([steps[offset::FOLD].mean() for offset in range(FOLD)])
    assert float(by_place[-1]) < 1.2 * float(by_place.median())  # the step from one block of 4x4 pixels to the next


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.1, 100), offset=st.floats(-1, 1))
def test_a_kernel_does_not_depend_on_scale_and_offset_of_its_weights(factor: float, offset: float) -> None:
    torch.manual_seed(0)
    layer = StandardisedConv2d(3, 5, 3)
    before = layer.kernel().detach()
    with torch.no_grad():
        layer.weight.mul_(factor).add_(offset)
    torch.testing.assert_close(layer.kernel().detach(), before, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("size", [100, 8])
def test_patches_that_do_not_fit_are_refused_with_what_to_do(size: int) -> None:
    with pytest.raises(UsageError, match=rf"{size} px.*multiple of 32 px.*generator.depth"):
        COMPONENT.create(SMALL).networks(1, 1, size)


def test_the_discriminator_is_the_paper_s_or_none() -> None:
    judged = COMPONENT.create(SMALL).networks(1, 2, 64).discriminator
    assert judged is not None
    assert judged(torch.rand(2, 3, 64, 64)).shape == (2, 1, 8, 8)
    assert COMPONENT.create({**SMALL, "discriminator": "none"}).networks(1, 2, 64).discriminator is None
    with pytest.raises(UsageError, match="discriminator_halvings"):
        COMPONENT.create({**SMALL, "discriminator_halvings": 6}).networks(1, 2, 32)
