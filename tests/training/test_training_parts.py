"""Normalisation, the order of patches, and the statistics for measuring."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vsframework import VsfError
from vsframework.training.calibration import calibrated
from vsframework.training.data import epoch_batches
from vsframework.training.normalisation import IN_CACHE, Normalisation, normalisation_of

scales = st.floats(1, 65535)


@given(scales, scales, st.integers(0, 2**32 - 1))
def test_counts_survive_the_normalisation(dsdna: float, ssdna: float, seed: int) -> None:
    normalisation = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(dsdna, ssdna))
    counts = np.random.default_rng(seed).random((3, 2, 4, 4), dtype=np.float32) * np.float32([[[dsdna]], [[ssdna]]])
    target = normalisation.stains_to_target(counts)
    assert target.min() >= -1 - 1e-6
    assert target.max() <= 1 + 1e-6
    error = np.abs(normalisation.output_to_counts(target) - counts).max(axis=(0, 2, 3))
    assert (error <= 1e-6 * np.array([dsdna, ssdna])).all()


@given(scales)
def test_the_lowest_output_is_exactly_no_signal(scale: float) -> None:
    normalisation = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(scale,))
    assert normalisation.output_to_counts(np.full((1, 1, 1), -1, np.float32)).item() == 0


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 700, 300), (1, 2, IN_CACHE + 1)])
def test_a_large_field_is_turned_into_counts_as_a_patch_is(shape: tuple[int, int, int]) -> None:
    normalisation = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(200.0, 31.7))
    count, height, width = shape
    output = np.random.default_rng(0).normal(0, 1, (count, 2, height, width)).astype(np.float32)
    counts = np.full_like(output, np.nan)
    for stain in range(2):
        normalisation.write_counts(torch.from_numpy(output[:, stain]), stain, counts[:, stain])
    np.testing.assert_array_equal(counts, normalisation.output_to_counts(output))


def test_a_normalisation_survives_json() -> None:
    normalisation = Normalisation(brightfield_full_scale=4095.0, stain_full_scale=(1.25, 3.5))
    assert Normalisation.from_json(normalisation.as_json()) == normalisation


def test_a_stain_without_signal_is_an_error() -> None:
    stains = np.zeros((2, 2, 4, 4), np.float32)
    stains[:, 0] = 5
    with pytest.raises(VsfError, match="ssDNA is empty"):
        normalisation_of(stains, ("dsDNA", "ssDNA"), 8, "training-max")


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 1000), st.integers(1, 1000))
def test_an_epoch_shows_every_patch_once(count: int, batch_size: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(count, batch_size, seed, epoch)
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
    assert max(map(len, batches)) <= batch_size
    again = epoch_batches(count, batch_size, seed, epoch)
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in batches]


def test_epochs_differ_in_their_order() -> None:
    orders = {tuple(torch.cat(epoch_batches(30, 4, 0, epoch)).tolist()) for epoch in range(1, 6)}
    assert len(orders) == 5


def test_calibrated_statistics_are_those_of_all_patches() -> None:
    torch.manual_seed(0)
    patches = torch.randn(32, 1, 4, 4) * 3 + 5
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5))
    result = calibrated(network, patches.split(16), torch.device("cpu"))
    norm = result[0]  # type: ignore[index]
    assert norm.running_mean.item() == pytest.approx(patches.mean().item(), rel=1e-5)
    assert norm.running_var.item() == pytest.approx(patches.var().item(), rel=0.05)
    assert not any(module.training for module in result.modules())
    assert network[0].running_mean.item() == 0
    assert network.training
