"""Quantity consistency: the quantifier as a term of the objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsframework import UsageError, VsfError
from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.interfaces import Quantity
from vsframework.plugins import registry
from vsframework.training.normalisation import Normalisation
from vsframework.training.objective import QuantityTerm, plan_objective

Make = Callable[..., Experiment]

STAINS = ("dsDNA", "ssDNA")
SCALE = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(200.0, 40.0))
CELLS = pd.DataFrame({"dsDNA_sum": [1000.0, 3000.0], "ssDNA_sum": [100.0, 300.0]})


def term(*names: str, normalisation: Normalisation = SCALE, **params: Any) -> QuantityTerm:
    found = QuantityTerm(registry().create("quantifier", "dfi", params), names, STAINS, normalisation)
    found.fit_scales(CELLS)
    return found


def stains(seed: int, cells: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((cells, 2, 8, 8), generator=generator) * 2 - 1


@given(st.integers(0, 2**32 - 1), st.floats(1, 65535), st.floats(1, 65535))
@settings(max_examples=30, deadline=None)
def test_training_measures_what_the_evaluation_reports(seed: int, dsdna: float, ssdna: float) -> None:
    """The same DFI as `Stainer` and `evaluate` give: counts by the recorded normalisation, in NumPy."""
    normalisation = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(dsdna, ssdna))
    output, target = stains(seed), stains(seed + 1)
    quantifier = registry().create("quantifier", "dfi", {})
    reported = [
        quantifier.measure(normalisation.output_to_counts(image.numpy()), STAINS)["dfi"] for image in (output, target)
    ]
    expected = np.abs(reported[0] - reported[1]).mean()
    assert term(normalisation=normalisation)(output, target).item() == pytest.approx(expected, abs=2e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_counts_in_torch_are_counts_in_numpy(seed: int) -> None:
    output = stains(seed) * 1.2  # some below no signal
    counts = SCALE.differentiable_counts(output)
    assert counts.dtype == torch.float32
    np.testing.assert_allclose(counts.numpy(), SCALE.output_to_counts(output.numpy()), rtol=1e-6, atol=1e-5)


def test_the_true_stains_cost_nothing() -> None:
    target = stains(0)
    assert term()(target, target).item() == 0


def test_the_gradient_leads_to_the_target() -> None:
    target, output = stains(1), stains(2)
    output[:, 1] = -0.9  # nearly no ssDNA
    output.requires_grad_(True)
    judge = term()
    start = judge(output, target).item()
    optimiser = torch.optim.Adam([output], lr=1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        judge(output, target).backward()
        optimiser.step()
    assert judge(output, target).item() < 0.02 * start


def test_no_signal_at_all_gives_a_finite_gradient() -> None:
    output = torch.full((1, 2, 8, 8), -1.0, requires_grad=True)
    loss = term()(output, stains(3, cells=1))
    loss.backward()
    assert loss.isfinite()
    assert output.grad is not None
    assert output.grad.isfinite().all()


def test_a_quantity_with_a_unit_counts_as_a_share_of_the_typical_cell() -> None:
    output, target = stains(4), stains(5)
    quantifier = registry().create("quantifier", "dfi", {})
    found, true = (quantifier.measure(SCALE.output_to_counts(image.numpy()), STAINS) for image in (output, target))
    dsdna = np.abs(found["dsDNA_sum"] - true["dsDNA_sum"]).mean() / 2000  # the mean of CELLS
    dfi = np.abs(found["dfi"] - true["dfi"]).mean()
    assert term("dsDNA_sum")(output, target).item() == pytest.approx(dsdna, rel=1e-5)
    assert term("dfi", "dsDNA_sum", "dfi")(output, target).item() == pytest.approx(dfi + dsdna, rel=1e-5)


def test_a_quantity_of_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"gives no dna.*dfi, dsDNA_sum, ssDNA_sum"):
        term("dna")


def test_a_count_of_bright_pixels_is_refused_because_nothing_can_be_learned_from_it() -> None:
    with pytest.raises(UsageError, match="no usable gradient"):
        term(mode="area")


def test_a_quantity_that_no_training_cell_has_is_refused() -> None:
    judge = QuantityTerm(registry().create("quantifier", "dfi", {}), ["dsDNA_sum"], STAINS, SCALE)
    with pytest.raises(VsfError, match="mean dsDNA_sum of the training cells is 0"):
        judge.fit_scales(CELLS * 0)
    with pytest.raises(VsfError, match="no measured dsDNA_sum"):
        judge.fit_scales(CELLS[["ssDNA_sum"]])


def test_a_quantifier_for_numpy_alone_is_one_sentence() -> None:
    class Brightest:
        quantities: Sequence[Quantity] = (Quantity(name="peak", unit="counts", description="Brightest count."),)

        def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
            return {"peak": np.max(np.asarray(stains), axis=(-3, -2, -1))}

    with pytest.raises(VsfError, match="measures torch tensors"):
        QuantityTerm(Brightest(), (), STAINS, SCALE)


def test_without_a_weight_no_quantifier_is_needed(tiny_dataset: PatchDataset, make_experiment: Make) -> None:
    assert plan_objective(make_experiment(), tiny_dataset, SCALE).quantity is None


def test_scales_come_from_the_training_donors_alone(tiny_dataset: PatchDataset, make_experiment: Make) -> None:
    """The dataset of these tests has measured the DFI only, so a sum is refused and the DFI is not."""
    joint: dict[str, Any] = {"models": "joint", "objective": {"lambda_quantity": 5}}
    objective = plan_objective(make_experiment(**joint), tiny_dataset, SCALE)
    assert objective.quantity is not None
    assert [quantity.name for quantity in objective.quantity.quantities] == ["dfi"]
    joint["objective"] = {"lambda_quantity": 5, "quantities": ["ssDNA_sum"]}
    with pytest.raises(VsfError, match="no measured ssDNA_sum"):
        plan_objective(make_experiment(**joint), tiny_dataset, SCALE)
