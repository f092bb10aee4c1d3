"""A trained run stains: counts in, counts out, whatever the size and the batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsframework import UsageError, VsfError
from vsframework.inference import Stainer
from vsframework.training.checkpoints import FINAL, read_weights, write_weights


@pytest.fixture(scope="module")
def stainer(trained_run: Path) -> Stainer:
    return Stainer.load(trained_run)


def brightfield(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, height, width)).astype(np.float32)


def test_a_stainer_knows_what_it_is(stainer: Stainer) -> None:
    assert stainer.stains == ("dsDNA", "ssDNA")
    assert (stainer.in_channels, stainer.image_size, stainer.stride) == (1, 16, 4)
    assert stainer.quantifier.quantities[0].name == "dfi"
    assert stainer.experiment.generator.name == "pix2pix"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 5), st.integers(1, 37), st.integers(1, 37))
def test_any_size_gives_counts_that_a_camera_could_have_given(
    stainer: Stainer, count: int, height: int, width: int
) -> None:
    stains = stainer.stain(brightfield(count, height, width))
    assert stains.shape == (count, 2, height, width)
    assert stains.dtype == np.float32
    assert (stains >= 0).all()
    full_scale = np.array(stainer.normalisation.stain_full_scale)[:, None, None]
    assert (stains <= full_scale * (1 + 1e-6)).all()


def test_stains_do_not_depend_on_the_batch(stainer: Stainer) -> None:
    patches = brightfield(5, 16, 16)
    together = stainer.stain(patches, batch_size=5)
    np.testing.assert_allclose(stainer.stain(patches, batch_size=2), together, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(stainer.stain(patches, batch_size=5), together)


def test_padding_changes_nothing_far_from_the_border(stainer: Stainer) -> None:
    image = brightfield(1, 64, 66)
    np.testing.assert_allclose(
        stainer.stain(image)[..., :40], stainer.stain(image[..., :64])[..., :40], rtol=1e-4, atol=1e-3
    )


def test_integer_counts_are_taken_as_they_are(stainer: Stainer) -> None:
    patches = brightfield(2, 16, 16)
    np.testing.assert_array_equal(stainer.stain(patches.astype(np.uint8)), stainer.stain(patches))


def test_paper_mode_is_the_lottery_of_the_paper(trained_run: Path) -> None:
    stainer = Stainer.load(trained_run, mode="paper")
    patches = brightfield(2, 16, 16)
    assert not np.array_equal(stainer.stain(patches), stainer.stain(patches))


def test_an_image_is_reflected_to_what_the_network_can_take(stainer: Stainer) -> None:
    assert stainer.stride > 1
    for height, width in ((stainer.stride + 1, 2 * stainer.stride - 1), (1, stainer.stride)):
        image = brightfield(1, height, width)
        padding = ((0, 0), (0, 0), (0, -height % stainer.stride), (0, -width % stainer.stride))
        padded = np.pad(image, padding, mode="reflect")
        expected = stainer.stain(padded)[..., :height, :width]
        np.testing.assert_array_equal(stainer.stain(image), expected)


def test_the_exporter_gets_the_networks_that_stain(stainer: Stainer) -> None:
    image = brightfield(1, 16, 16)
    inputs = torch.from_numpy(stainer.normalisation.brightfield_to_input(image))
    output = torch.cat([network(inputs) for network in stainer.generators()], dim=1).numpy()
    np.testing.assert_allclose(stainer.normalisation.output_to_counts(output), stainer.stain(image), rtol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (1, 2, 16, 16), (1, 1, 0, 16)])
def test_a_wrong_shape_is_one_sentence(stainer: Stainer, shape: tuple[int, ...]) -> None:
    with pytest.raises(VsfError, match=r"where \[N, 1, H, W\] is needed"):
        stainer.stain(np.zeros(shape, np.float32))


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run folder"):
        Stainer.load(tmp_path)


def test_an_untrained_run_is_said(trained_run: Path, tmp_path: Path) -> None:
    shutil.copy(trained_run / "config.toml", tmp_path)
    with pytest.raises(VsfError, match="not trained yet"):
        Stainer.load(tmp_path)


def test_damaged_weights_are_said(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    weights = run / "checkpoints" / FINAL
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(VsfError, match="damaged"):
        Stainer.load(run)


def test_weights_of_another_architecture_are_said(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    path = run / "checkpoints" / FINAL
    file = read_weights(path)
    generator = {**file.header["generator"], "params": {**file.header["generator"]["params"], "width": 8}}
    write_weights(path, file.tensors, {**file.header, "generator": generator})
    with pytest.raises(VsfError, match="do not fit the generator"):
        Stainer.load(run)
