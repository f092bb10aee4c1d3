"""Training in the form that is measured: statistics held, nothing random, nothing that depends on the tile."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vsframework import UsageError, VsfError
from vsframework.config import Experiment
from vsframework.dataset.store import PatchDataset
from vsframework.inference import Stainer
from vsframework.training import train
from vsframework.training.checkpoints import FINAL, read_header, read_weights
from vsframework.training.fixed_statistics import FixableNorm, first_held_epoch, hold_statistics, make_fixable
from vsframework.training.records import Records

Make = Callable[..., Experiment]

SIDE = 16

GENERATORS: dict[str, dict[str, Any]] = {
    "pix2pix": {},
    "pix2pix++": {},
    "instance": {"name": "pix2pix", "norm": "instance"},
    "unet": {"name": "unet", "width": 4, "depth": 2, "discriminator": "none"},
    "fast": {"name": "fast", "width": 8, "depth": 3, "discriminator": "none"},
}


def chosen(name: str) -> dict[str, Any]:
    """What ``make_experiment`` merges into its pix2pix: other generators know none of its parameters."""
    return {"name": name, **GENERATORS[name]}


@pytest.fixture
def make(make_experiment: Make) -> Make:
    """The tiny experiment in deploy mode, with any generator."""

    def make(generator: str = "pix2pix", **rest: Any) -> Experiment:
        experiment = make_experiment(**{"mode": "deploy", **rest})
        tables = experiment.tables()
        if generator in ("unet", "fast"):
            tables["generator"] = chosen(generator)
        else:
            tables["generator"] |= chosen(generator)
        return Experiment.model_validate(tables)

    return make


# ----------------------------------------------------------------------------------------------------- one layer


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(6), nn.InstanceNorm2d(6, affine=True), nn.GroupNorm(3, 6)])
def test_a_layer_does_what_it_replaces_until_its_statistics_are_held(layer: nn.Module) -> None:
    nn.init.uniform_(layer.weight)  # type: ignore[arg-type]
    x = torch.randn(4, 6, 5, 7) * 3 + 2
    torch.testing.assert_close(FixableNorm(layer)(x), layer.train()(x))


@given(st.integers(1, 3), st.sampled_from([1, 2, 6]))
def test_held_statistics_are_those_of_all_patches(size: int, groups: int) -> None:
    patches = torch.randn(6, 6, 4, 4) * torch.arange(1.0, 7.0).view(1, 6, 1, 1) + torch.arange(6.0).view(1, 6, 1, 1)
    norm = FixableNorm(nn.GroupNorm(groups, 6))
    hold_statistics(norm, torch.split(patches, size))
    together = patches.view(6, groups, -1).transpose(0, 1).flatten(1)
    each = 6 // groups
    torch.testing.assert_close(norm.mean, together.mean(1).repeat_interleave(each))
    torch.testing.assert_close(norm.variance, together.var(1, correction=0).repeat_interleave(each))
    # nothing of the batch, nothing of the image
    torch.testing.assert_close(norm(patches)[:1, :, :2, :2], norm(patches[:1, :, :2, :2]))


def test_dropout_goes_and_names_stay() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(0.5), nn.GroupNorm(1, 2)))
    names = [name for name, _ in network.named_parameters()]
    fixable = make_fixable(network)
    assert [name for name, _ in fixable.named_parameters()] == names
    assert not [module for module in fixable.modules() if isinstance(module, nn.Dropout | nn.BatchNorm2d)]


@given(st.integers(1, 2000), st.floats(0.001, 1))
def test_at_least_one_epoch_is_trained_as_it_is_measured(epochs: int, share: float) -> None:
    first = first_held_epoch(epochs, share)
    assert 1 <= first <= epochs
    assert epochs - first + 1 >= share * epochs


# ------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_switch_costs_nothing_because_there_is_none(
    tiny_dataset: PatchDataset, make: Make, run: Path, generator: str
) -> None:
    train(make(generator, epochs=2, models="joint"), tiny_dataset, run)
    header = read_header(run / "checkpoints" / FINAL)
    modes = header["modes"]
    assert header["training_mode"] == modes["trained"] == modes["measured"] == "deploy"
    assert not modes["switched"]
    assert not modes["normalised_by_image"]
    assert modes["trained_error"] == pytest.approx(modes["deploy_error"], abs=1e-6)


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_run_stains_a_patch_by_nothing_but_the_patch(
    tiny_dataset: PatchDataset, make: Make, run: Path, generator: str
) -> None:
    train(make(generator, epochs=2, models="joint", learning_rate=5e-3), tiny_dataset, run)
    stainer = Stainer.load(run)
    patches = np.asarray(tiny_dataset.brightfield[:], dtype=np.float32)
    together = stainer.stain(patches)
    assert np.ptp(together) > 1, "nothing was learned that could differ"
    np.testing.assert_array_equal(stainer.stain(patches), together)
    for index, patch in enumerate(patches):
        np.testing.assert_allclose(stainer.stain(patch[None])[0], together[index], rtol=1e-4, atol=2e-3)


def test_paper_mode_normalises_by_the_tile_and_says_so(tiny_dataset: PatchDataset, make: Make, run: Path) -> None:
    train(make("pix2pix", mode="paper", epochs=1), tiny_dataset, run)
    modes = read_header(run / "checkpoints" / FINAL)["modes"]
    assert modes["trained"] == "paper"
    assert modes["switched"]
    assert modes["normalised_by_image"]


def test_statistics_are_measured_once_and_training_goes_on(tiny_dataset: PatchDataset, make: Make, run: Path) -> None:
    train(make(epochs=4, held_share=0.5), tiny_dataset, run)
    third, fourth = (read_weights(run / "checkpoints" / f"epoch-00000{n}.safetensors").tensors for n in (3, 4))
    statistics = [name for name in third if name.endswith(("norm.mean", "norm.variance"))]
    assert statistics
    assert all(torch.equal(third[name], fourth[name]) for name in statistics)
    assert any(bool((third[name] != 0).any()) for name in statistics if name.endswith("mean"))
    weights = [name for name in third if name.endswith("generator/weights/decoder.0.norm.weight")]
    assert weights
    assert not any(torch.equal(third[name], fourth[name]) for name in weights)


@pytest.mark.parametrize("last", [1, 2, 3])
def test_an_interrupted_training_ends_the_same_before_at_and_after_the_hold(
    tiny_dataset: PatchDataset, make: Make, tmp_path: Path, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops when epoch `last` is recorded; statistics are held from epoch 3 of 4 on, every step leaves a state."""
    experiment = make(epochs=4, ema_decay=0.5, models="joint", checkpoint_steps=1)
    train(experiment, tiny_dataset, tmp_path / "whole")
    add = Records.add

    def stop(self: Records, epoch: int, *rest: Any) -> None:
        if epoch == last:
            raise KeyboardInterrupt
        add(self, epoch, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Records, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            train(experiment, tiny_dataset, tmp_path / "again")
    train(experiment, tiny_dataset, tmp_path / "again")
    whole, again = (read_weights(tmp_path / name / "checkpoints" / FINAL) for name in ("whole", "again"))
    assert whole.header == again.header
    assert [name for name, value in whole.tensors.items() if not torch.equal(value, again.tensors[name])] == []


def test_only_weights_that_were_trained_as_they_are_measured_can_be_the_best(
    tiny_dataset: PatchDataset, make: Make, run: Path
) -> None:
    experiment = make(
        epochs=6, held_share=0.3, validation_donors=("donor2",), validation={"every": 1}, learning_rate=0.05
    )
    train(experiment, tiny_dataset, run)
    assert read_header(run / "checkpoints" / FINAL)["weights_of_epoch"] in (5, 6)


def test_it_cannot_be_prolonged(tiny_dataset: PatchDataset, make: Make, run: Path) -> None:
    train(make(epochs=1), tiny_dataset, run)
    with pytest.raises(VsfError, match="another experiment"):
        train(make(epochs=2), tiny_dataset, run)


def test_a_run_of_deploy_mode_has_no_other(tiny_dataset: PatchDataset, make: Make, run: Path) -> None:
    train(make(epochs=1), tiny_dataset, run)
    with pytest.raises(UsageError, match="trained in deploy mode and has no other"):
        Stainer.load(run, mode="paper")


@pytest.mark.parametrize("generator", ["pix2pix", "unet"])
def test_a_run_of_deploy_mode_is_exported_as_it_stains(
    tiny_dataset: PatchDataset, make: Make, tmp_path: Path, generator: str
) -> None:
    import onnxruntime

    from vsf_export.deployable import check_behaviour, check_layers
    from vsf_export.staining_graph import StainingGraph
    from vsf_export.trained_run import load_run

    run = tmp_path / "run"
    train(make(generator, epochs=2, models="joint"), tiny_dataset, run)
    (run / "dataset").symlink_to(tiny_dataset.path)
    trained = load_run(run)
    check_layers(trained.generators)
    check_behaviour(StainingGraph(trained.generators, trained.spec), torch.from_numpy(trained.spec.reference))
    (network,) = trained.generators
    images = torch.rand(1, 1, SIDE, SIDE) * 2 - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's notes on its own exporter
        program = torch.onnx.export(network, (images,), dynamo=True, verbose=False)
    assert program is not None
    kinds = {node.op_type for node in program.model_proto.graph.node}
    assert not kinds & {"InstanceNormalization", "GroupNormalization", "ReduceMean", "Dropout"}
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(found, network(images).numpy(), atol=1e-5)
