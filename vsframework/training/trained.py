"""The generators of a trained run, read back from its folder in the form to stain with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from vsframework.config import Experiment, load_experiment
from vsframework.errors import UsageError, VsfError
from vsframework.interfaces import Generator
from vsframework.plugins import registry
from vsframework.training.checkpoints import FINAL, below, read_weights
from vsframework.training.fixed_statistics import hold_statistics, make_fixable

Mode = Literal["deploy", "paper"]


@dataclass(frozen=True, kw_only=True)
class TrainedGenerators:
    """What a run was trained to.

    Attributes
    ----------
    experiment
        The resolved experiment of the run.
    info
        What the weight file says about itself: stains, normalisation, plugin and versions, dataset hash, epochs.
    networks
        One per model, without gradients.
    channels
        Per network, the places of its stains among those of the run.
    stride
        Height and width of an input must be multiples of this, in pixels.
    """

    experiment: Experiment
    info: dict[str, Any]
    networks: tuple[nn.Module, ...]
    channels: tuple[tuple[int, ...], ...]
    stride: int


def load_generators(run: Path, mode: Mode = "deploy", device: str = "cpu") -> TrainedGenerators:
    """Load the generators of the run folder `run`.

    Parameters
    ----------
    mode
        ``"deploy"``: nothing depends on the batch or on chance. ``"paper"``: in training mode, with batch statistics
        and dropout.
    device
        Of torch: ``"cpu"``, ``"cuda"``, ...

    Raises
    ------
    UsageError
        When `run` is not a run folder, or was trained in deploy mode and is asked for the paper's.
    VsfError
        When it is not trained yet, its weights are damaged, or its generator cannot be built here.
    """
    config = run / "config.toml"
    if not config.exists():
        raise UsageError(f"{run} is not a run folder: it holds no config.toml; train an experiment first")
    experiment = load_experiment(config)
    path = run / "checkpoints" / FINAL
    if not path.exists():
        raise VsfError(f"{run} is not trained yet: there is no {path}; run 'vsf train' (again, if it was stopped)")
    weights = read_weights(path)
    info = weights.header
    held = info.get("training_mode", "paper") == "deploy"
    if held and mode == "paper":
        raise UsageError(f"{run} was trained in deploy mode and has no other; stain in deploy mode")
    architecture: Generator = registry().create("generator", info["generator"]["name"], info["generator"]["params"])
    networks = []
    for model in info["models"]:
        built = architecture.networks(info["in_channels"], len(model["channels"]), info["image_size"]).generator
        if held:
            built = hold_statistics(make_fixable(built))
        try:
            built.load_state_dict(below(weights.tensors, f"{model['name']}/"))
        except RuntimeError as error:
            raise VsfError(
                f"the weights in {path} do not fit the generator {info['generator']['name']!r} as installed here "
                f"(trained with {info['generator']['distribution']} {info['generator']['version']})"
            ) from error
        form = architecture.deploy(built) if mode == "deploy" else built.train()
        networks.append(form.requires_grad_(False).to(device))
    return TrainedGenerators(
        experiment=experiment,
        info=info,
        networks=tuple(networks),
        channels=tuple(tuple(model["channels"]) for model in info["models"]),
        stride=architecture.stride,
    )
