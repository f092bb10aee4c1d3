"""Augmentation: one geometry for all channels, brightness for brightfield alone, the same patches for the same seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsframework.config import AugmentationSection
from vsframework.training.augmentation import Augmentation

SIZE = 64
seeds = st.integers(0, 2**31)


def cell(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth blob well inside the patch: bright in both stains, dark in brightfield; no signal is -1."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    # narrow enough that a shift of 6 px takes none of it over the border
    blob = torch.exp(-(((x - 36) / 4) ** 2 + ((y - 28) / 5) ** 2) / 2).expand(count, 1, SIZE, SIZE)
    return 0.2 - 0.6 * blob, torch.cat([2 * blob - 1, blob - 1], dim=1)


def signal(stains: torch.Tensor) -> torch.Tensor:
    """Integrated intensity [N, C]: -1 is no signal."""
    return (stains + 1).sum(dim=(-2, -1))


@given(seeds, st.floats(0, 180), st.floats(0, 6))
@settings(max_examples=25, deadline=None)
def test_stain_sums_are_kept_within_interpolation_error(seed: int, rotation: float, shift: float) -> None:
    section = AugmentationSection(flip=True, quarter_turns=True, rotation_deg=rotation, shift_px=shift)
    brightfield, stains = cell()
    _, moved = Augmentation(section, seed, SIZE)(brightfield, stains, 1, 0)
    # bilinear sums on a rotated grid: less than 0.05 % off for a blob this wide
    torch.testing.assert_close(signal(moved), signal(stains), rtol=5e-4, atol=0)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_flips_and_quarter_turns_keep_every_count(seed: int) -> None:
    section = AugmentationSection(flip=True, quarter_turns=True)
    brightfield, stains = cell()
    _, moved = Augmentation(section, seed, SIZE)(brightfield, stains, 1, 0)
    assert torch.equal(moved.flatten(2).sort().values, stains.flatten(2).sort().values)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_geometry_is_the_same_for_every_channel(seed: int) -> None:
    section = AugmentationSection(flip=True, quarter_turns=True, rotation_deg=90.0, shift_px=5.0)
    pattern = torch.rand(3, 1, SIZE, SIZE) * 2 - 1
    brightfield, moved = Augmentation(section, seed, SIZE)(pattern, torch.cat([pattern, pattern], dim=1), 1, 0)
    assert torch.equal(moved[:, 0], moved[:, 1])
    inside = (slice(None), 0, slice(24, 40), slice(24, 40))  # beyond it the border may come in
    torch.testing.assert_close(moved[inside], brightfield[inside], rtol=0, atol=1e-5)
    assert not torch.allclose(brightfield[inside], pattern[inside], atol=0.1)


def test_only_brightfield_changes_its_brightness() -> None:
    section = AugmentationSection(brightness=0.2, contrast=0.3, noise=0.05)
    brightfield, stains = cell()
    brighter, kept = Augmentation(section, 0, SIZE)(brightfield, stains, 1, 0)
    assert torch.equal(kept, stains)
    assert not torch.equal(brighter, brightfield)
    assert brighter.abs().max() <= 1
    assert len({round(float(image.mean()), 6) for image in brighter}) == 3, "each patch is changed on its own"


def test_what_is_drawn_depends_on_seed_epoch_and_batch_alone() -> None:
    section = AugmentationSection(flip=True, rotation_deg=30.0, noise=0.1)
    augment = Augmentation(section, 4, SIZE)
    first = augment(*cell(), 2, 5)[0]
    before = torch.get_rng_state()
    torch.testing.assert_close(augment(*cell(), 2, 5)[0], first, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), before), "augmentation touched the random state of training"
    others = [augment(*cell(), 3, 5)[0], augment(*cell(), 2, 6)[0], Augmentation(section, 5, SIZE)(*cell(), 2, 5)[0]]
    assert not any(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_is_changed_unless_asked_for(channels: int) -> None:
    brightfield, stains = cell()
    result = Augmentation(AugmentationSection(), 0, SIZE)(brightfield, stains[:, :channels], 1, 0)
    assert result[0] is brightfield
    assert torch.equal(result[1], stains[:, :channels])
