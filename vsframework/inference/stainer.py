"""A trained run, ready to stain: brightfield counts in, stain counts out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vsframework.config import Experiment, load_experiment
from vsframework.errors import UsageError, VsfError
from vsframework.interfaces import Generator, Quantifier
from vsframework.plugins import registry
from vsframework.training.checkpoints import FINAL, below, read_weights
from vsframework.training.normalisation import Normalisation

Mode = Literal["deploy", "paper"]


class Stainer:
    """Stains brightfield images with the generators of a run. Make one with :meth:`load`.

    Attributes
    ----------
    experiment
        The resolved experiment of the run.
    stains
        Names of the output channels, the reference stain first.
    normalisation
        How counts become the generators' input, and their output counts.
    in_channels, image_size, stride
        Brightfield planes, side of a training patch, and what height and width are padded to a multiple of (pixels).
    info
        What the weight file says about itself: plugin and versions, dataset hash, epochs.
    """

    def __init__(
        self, experiment: Experiment, info: dict[str, Any], generators: Sequence[nn.Module], stride: int
    ) -> None:
        self.experiment = experiment
        self.info = info
        self.stains: tuple[str, ...] = tuple(info["stains"])
        self.normalisation = Normalisation.from_json(info["normalisation"])
        self.in_channels: int = info["in_channels"]
        self.image_size: int = info["image_size"]
        self.stride = stride
        self._generators = list(generators)
        self._channels = [list(model["channels"]) for model in info["models"]]

    @classmethod
    def load(cls, run: Path, *, mode: Mode = "deploy", device: str = "cpu") -> Stainer:
        """Load the generators of the run folder `run`.

        Parameters
        ----------
        mode
            ``"deploy"``: nothing depends on the batch or on chance. ``"paper"``: batch statistics and dropout as in
            training, one image at a time; only to reproduce the paper, and not repeatable.
        device
            Of torch: ``"cpu"``, ``"cuda"``, ...

        Raises
        ------
        UsageError
            When `run` is not a run folder.
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
        architecture: Generator = registry().create("generator", info["generator"]["name"], info["generator"]["params"])
        generators = []
        for model in info["models"]:
            built = architecture.networks(info["in_channels"], len(model["channels"]), info["image_size"]).generator
            try:
                built.load_state_dict(below(weights.tensors, f"{model['name']}/"))
            except RuntimeError as error:
                raise VsfError(
                    f"the weights in {path} do not fit the generator {info['generator']['name']!r} as installed here "
                    f"(trained with {info['generator']['distribution']} {info['generator']['version']})"
                ) from error
            form = architecture.deploy(built) if mode == "deploy" else built.train()
            generators.append(form.requires_grad_(False).to(device))
        return cls(experiment, info, generators, architecture.stride)

    @cached_property
    def quantifier(self) -> Quantifier:
        """The quantifier of the experiment."""
        selection = self.experiment.quantifier
        quantifier: Quantifier = registry().create("quantifier", selection.name, selection.params)
        return quantifier

    def generators(self) -> list[nn.Module]:
        """Give the deploy-mode networks; their outputs, concatenated, are `stains` in order (for exporters)."""
        return list(self._generators)

    def stain(self, brightfield: npt.NDArray[np.generic], batch_size: int = 8) -> npt.NDArray[np.float32]:
        """Stain `brightfield` [N, in_channels, H, W], counts: float32 [N, C, H, W], counts >= 0.

        Height and width may be anything; they are reflected at the right and lower border up to the next multiple of
        `stride`, and cut back. Smaller batches need less memory and give the same stains (up to float32 rounding).

        Raises
        ------
        VsfError
            When the shape is wrong.
        """
        if brightfield.ndim != 4 or brightfield.shape[1] != self.in_channels or 0 in brightfield.shape[2:]:
            raise VsfError(
                f"brightfield has the shape {brightfield.shape} where [N, {self.in_channels}, H, W] is needed"
            )
        count, _, height, width = brightfield.shape
        stains = np.empty((count, len(self.stains), height, width), dtype=np.float32)
        if any(network.training for network in self._generators):
            batch_size = 1  # batch statistics of other images must not leak in
        for start in range(0, count, batch_size):
            part = slice(start, start + batch_size)
            padding = ((0, 0), (0, 0), (0, -height % self.stride), (0, -width % self.stride))
            padded = np.pad(self.normalisation.brightfield_to_input(brightfield[part]), padding, mode="reflect")
            stains[part] = self.normalisation.output_to_counts(self._run(padded)[..., :height, :width])
        return stains

    def _run(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        device = next(self._generators[0].parameters()).device
        output = np.empty((len(images), len(self.stains), *images.shape[2:]), dtype=np.float32)
        with torch.inference_mode():
            batch = torch.from_numpy(images).to(device)
            for network, channels in zip(self._generators, self._channels, strict=True):
                output[:, channels] = network(batch).float().cpu().numpy()
        return output
