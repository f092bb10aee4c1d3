"""Each term of the objective on images, and how they add up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from vsframework import UsageError
from vsframework.config import ObjectiveSection, parse_experiment
from vsframework.training.objective import Objective
from vsframework.training.objective.terms import (
    adversarial,
    gradient_difference,
    l1,
    l2,
    structural_dissimilarity,
)

seeds = st.integers(0, 2**32 - 1)
IMAGE_TERMS = [l1, l2, structural_dissimilarity, gradient_difference]


def stains(seed: int, cells: int = 2) -> torch.Tensor:
    """Smooth blobs and noise, [cells, 2, 20, 20] in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((cells, 2, 5, 5), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=20, mode="bilinear")
    return (smooth + 0.2 * torch.rand(smooth.shape, generator=generator)) / 1.2 * 2 - 1


@pytest.mark.parametrize("term", IMAGE_TERMS)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_equal_images_cost_nothing_and_others_do(term: Any, seed: int) -> None:
    target = stains(seed)
    assert term(target, target).item() == pytest.approx(0, abs=1e-6)
    assert term(stains(seed + 1), target).item() > 1e-3


@pytest.mark.parametrize("term", IMAGE_TERMS)
def test_following_the_gradient_lowers_the_term(term: Any) -> None:
    target, output = stains(1), stains(2).requires_grad_(True)
    before = term(output, target)
    (slope,) = torch.autograd.grad(before, output)
    assert slope.isfinite().all()
    after = term(output.detach() - 1e-2 * slope / slope.abs().max(), target)
    assert after.item() < before.item()


@pytest.mark.parametrize("term", IMAGE_TERMS)
def test_a_batch_costs_the_mean_of_its_cells(term: Any) -> None:
    target, output = stains(3, cells=4), stains(4, cells=4)
    single = [term(output[i : i + 1], target[i : i + 1]).item() for i in range(4)]
    assert term(output, target).item() == pytest.approx(np.mean(single), rel=1e-5)


def test_ssim_is_that_of_another_library() -> None:
    """The frame is equal in both, so the borders that scikit-image leaves out of its mean add nothing to ours."""
    target, output = (torch.nn.functional.pad(stains(seed, cells=1)[:, :1], [12] * 4, value=-1.0) for seed in (5, 6))
    theirs = structural_similarity(
        *((image[0, 0].numpy() + 1) / 2 for image in (output, target)),
        data_range=1.0,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    side = output.shape[-1]
    expected = (1 - theirs) * (side - 10) ** 2 / side**2
    assert structural_dissimilarity(output, target).item() == pytest.approx(expected, rel=1e-4)


def test_l2_settles_on_the_mean_where_l1_settles_on_the_median() -> None:
    target = torch.tensor([-1.0, -1.0, 1.0]).reshape(1, 1, 1, 3)
    level = torch.linspace(-1, 1, 201)
    best = {term: level[torch.stack([term(x.expand_as(target), target) for x in level]).argmin()] for term in (l1, l2)}
    assert best[l1].item() == pytest.approx(-1)
    assert best[l2].item() == pytest.approx(-1 / 3, abs=0.01)


def test_the_gradient_difference_counts_the_height_of_steps() -> None:
    target, output = torch.full((1, 1, 4, 4), -1.0), torch.full((1, 1, 4, 4), -1.0)
    target[..., 2:] = 1.0  # one vertical edge of height 2: a third of the horizontal neighbours
    assert gradient_difference(output, target).item() == pytest.approx(2 / 3)
    assert gradient_difference(-target, target).item() == 0  # the other way round is as high
    assert gradient_difference(output + 0.7, output).item() == pytest.approx(0, abs=1e-6)  # a level has no step


def test_a_sure_discriminator_is_right_or_wrong() -> None:
    sure = torch.full((1, 1, 2, 2), 20.0)
    assert adversarial(sure, real=True).item() < 1e-6
    assert adversarial(sure, real=False).item() == pytest.approx(20, rel=1e-3)


def test_least_squares_wants_one_for_real_and_zero_for_virtual() -> None:
    logits = torch.full((1, 1, 2, 2), 0.25)
    assert adversarial(logits, real=True, kind="lsgan").item() == pytest.approx(0.75**2)
    assert adversarial(logits, real=False, kind="lsgan").item() == pytest.approx(0.25**2)


def test_the_default_objective_is_the_paper_s() -> None:
    objective = Objective(section=ObjectiveSection())
    output, target = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.25)
    logits = torch.zeros(1, 1, 3, 3)  # a sigmoid of one half: undecided
    terms = objective.generator_terms(output, target, logits)
    assert set(terms) == {"l1", "adversarial"}
    assert objective.generator_loss(terms).item() == pytest.approx(100 * 0.25 + math.log(2))
    assert objective.discriminator_loss(logits, real=True).item() == pytest.approx(0.5 * math.log(2))


@given(weights=st.fixed_dictionaries({name: st.floats(0, 1e3) for name in ("l1", "l2", "gan", "ssim", "gradient")}))
@settings(max_examples=25, deadline=None)
def test_the_loss_is_the_weighted_sum_of_its_terms(weights: dict[str, float]) -> None:
    section = ObjectiveSection.model_validate({f"lambda_{name}": value for name, value in weights.items()})
    objective = Objective(section=section)
    output, target, logits = stains(7), stains(8), torch.full((2, 1, 3, 3), 0.3)
    expected = (
        weights["l1"] * l1(output, target)
        + weights["l2"] * l2(output, target)
        + weights["gan"] * adversarial(logits, real=True)
        + weights["ssim"] * structural_dissimilarity(output, target)
        + weights["gradient"] * gradient_difference(output, target)
    )
    terms = objective.generator_terms(output, target, logits)
    assert objective.generator_loss(terms).item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)


# ---------------------------------------------------------------------------------------------- the experiment file


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"objective": {"lambda_quantity": 1}}, r"lambda_quantity needs .*training\.models = \"joint\""),
        ({"weak": {"dataset": "crops"}}, r"weak\.dataset .*objective\.lambda_quantity"),
        ({"objective": {"lambda_l1": 0, "lambda_gan": 0}}, "every weight in .objective. is 0"),
        ({"objective": {"gan": "wgan"}}, "objective.gan = 'wgan'"),
        ({"objective": {"lambda_l1": -1}}, r"objective\.lambda_l1 = -1"),
        ({"training": {"lambda_l1": 10}}, r"training\.lambda_l1 is objective\.lambda_l1 now"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(tables: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        parse_experiment({"data": {"root": "raw"}, **tables}, "experiment.toml")
    assert str(caught.value).startswith("experiment.toml: ")
    assert "\n" not in str(caught.value)
