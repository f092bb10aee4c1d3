"""The networks of our own end in a clamp that training cannot get stuck in."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import l1_loss

from vsf_plugins.generators.bounded import Bounded
from vsframework.plugins import registry


@given(values=st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=20))
def test_it_clamps_in_training_and_when_deployed(values: list[float]) -> None:
    x = torch.tensor(values)
    assert torch.equal(Bounded()(x), x.clamp(-1, 1))
    assert torch.equal(Bounded().eval()(x), x.clamp(-1, 1))


def test_a_gradient_goes_through_where_it_points_back_inside() -> None:
    x = torch.tensor([-2.0, -2.0, 0.5, 0.5, 2.0, 2.0], requires_grad=True)
    gradient = torch.tensor([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])  # a step goes against it
    Bounded()(x).backward(gradient)
    assert x.grad is not None
    assert x.grad.tolist() == [-1.0, 0.0, -1.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("start", [-1.0, 0.0])
@pytest.mark.parametrize(("name", "size"), [("fast", {"width": 8}), ("unet", {"width": 4, "depth": 3})])
def test_training_leaves_the_dark_although_most_of_a_patch_is_dark(
    name: str, size: dict[str, int], start: float
) -> None:
    """Heads cover a sixth of the patches: with tanh at its end, the same training gives no stain at all."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    torch.manual_seed(1)
    centres = 20 + 24 * torch.rand(16, 2)
    inside = torch.stack([(rows - y).square() + (columns - x).square() < 14**2 for y, x in centres.tolist()])
    target = 1.5 * inside[:, None].float() - 1
    brightfield = 0.3 - 0.6 * inside[:, None].float() + 0.05 * torch.randn(16, 1, 64, 64)
    network = registry().create("generator", name, {**size, "start": start}).networks(1, 1, 64).generator
    optimiser = torch.optim.Adam(network.parameters(), 2e-3, betas=(0.5, 0.999))
    for step in range(60):
        batch = torch.arange(4) + 4 * (step % 4)
        loss = l1_loss(network(brightfield[batch]), target[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        error = l1_loss(network(brightfield), target)
    assert float(error) < 0.7 * float(l1_loss(torch.full_like(target, -1.0), target))
