"""How the discriminator learns from a batch: two half-weighted steps (the lineage), or one on both."""

from __future__ import annotations

import copy
from typing import Literal

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from vsframework.config import parse_experiment
from vsframework.plugins import registry
from vsframework.training.devices import launch
from vsframework.training.models import Model, ModelPlan
from vsframework.training.objective import Objective

SIDE = 16


def one_step(update: Literal["two-steps", "one-step"]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Give the discriminator's weights after one batch: ours, and those of the sentence in the docs, written out."""
    tables = {
        "data": {"root": "."},
        "generator": {"name": "pix2pix", "width": 4, "depth": 3, "norm": "none", "dropout": 0.0},
        "training": {"accelerator": "cpu", "batch_size": 2},
        "objective": {"discriminator_update": update},
    }
    tables["generator"] |= {"discriminator_norm": "none", "discriminator_halvings": 2}
    experiment = parse_experiment(tables, "test")
    torch.manual_seed(3)
    architecture = registry().create("generator", "pix2pix", experiment.generator.params)
    plan = ModelPlan(name="dsDNA", channels=(0,))
    model = Model(plan, architecture, experiment, Objective(section=experiment.objective), SIDE)
    model.set_up(launch(experiment.training))
    brightfield, stains = torch.rand(2, 2, 1, SIDE, SIDE).mul(2).sub(1)

    discriminator = copy.deepcopy(model.networks["discriminator"])
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    with torch.no_grad():
        virtual = model.networks["generator"](brightfield)

    def half_error(image: torch.Tensor, truth: float) -> torch.Tensor:
        logits = discriminator(torch.cat([brightfield, image], dim=1))
        return 0.5 * binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))

    if update == "one-step":
        torch.autograd.backward(half_error(stains, 1.0) + half_error(virtual, 0.0))
        optimiser.step()
    else:
        for image, truth in ((stains, 1.0), (virtual, 0.0)):
            optimiser.zero_grad()
            torch.autograd.backward(half_error(image, truth))
            optimiser.step()
    model.step(brightfield, stains)
    return dict(model.networks["discriminator"].named_parameters()), dict(discriminator.named_parameters())


@pytest.mark.parametrize("update", ["two-steps", "one-step"])
def test_the_discriminator_takes_the_steps_that_it_says(update: Literal["two-steps", "one-step"]) -> None:
    ours, written_out = one_step(update)
    for name, value in written_out.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-7)


def test_one_step_is_not_two() -> None:
    two, one = one_step("two-steps")[0], one_step("one-step")[0]
    assert any(float((two[name] - one[name]).abs().max()) > 1e-5 for name in two)
