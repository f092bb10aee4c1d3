"""A trained run, ready to stain: brightfield counts in, stain counts out."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vsframework.errors import VsfError
from vsframework.inference.receptive_field import halo_of
from vsframework.inference.tiles import Reach, stain_in_tiles, stain_with_halo
from vsframework.interfaces import Quantifier
from vsframework.plugins import registry
from vsframework.training.normalisation import Normalisation
from vsframework.training.trained import Mode, TrainedGenerators, load_generators

PART = 2048
"""Side of the parts of a large image: what is done twice, in the halo, is little beside it."""


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

    def __init__(self, trained: TrainedGenerators) -> None:
        info = trained.info
        self.experiment = trained.experiment
        self.info = info
        self.stains: tuple[str, ...] = tuple(info["stains"])
        self.normalisation = Normalisation.from_json(info["normalisation"])
        self.in_channels: int = info["in_channels"]
        self.image_size: int = info["image_size"]
        self.stride = trained.stride
        self._generators = list(trained.networks)
        self._channels = [list(channels) for channels in trained.channels]

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
            When `run` is not a run folder, or was trained in deploy mode and is asked for the paper's.
        VsfError
            When it is not trained yet, its weights are damaged, or its generator cannot be built here.
        """
        return cls(load_generators(run, mode, device))

    @property
    def pixel_size_um(self) -> float | None:
        """Side of a pixel of the fields that it was trained on, in µm; None where they did not say it."""
        size = self.info.get("pixel_size_um")
        return float(size) if size else None

    @cached_property
    def quantifier(self) -> Quantifier:
        """The quantifier of the experiment."""
        selection = self.experiment.quantifier
        quantifier: Quantifier = registry().create("quantifier", selection.name, selection.params)
        return quantifier

    @cached_property
    def halo(self) -> int | None:
        """How far the generators see, in pixels, a multiple of `stride`; None where a stain depends on more.

        That is so for those that see farther than twice a training patch, that look at all they are given, or depend
        on the batch.
        """
        return halo_of(self._generators, self.in_channels, self.stride, 2 * self.image_size)

    @property
    def reach(self) -> Reach:
        """What a part of an image needs around it to be stained as in the whole."""
        if self.halo is not None:
            return Reach(unit=self.stride, margin=self.halo)
        return Reach(unit=max(1, self.image_size // 2), margin=self.image_size, tile=self.image_size)

    def generators(self) -> list[nn.Module]:
        """Give the deploy-mode networks; their outputs, concatenated, are `stains` in order (for exporters)."""
        return list(self._generators)

    def stain(self, brightfield: npt.NDArray[np.generic], batch_size: int = 8) -> npt.NDArray[np.float32]:
        """Stain `brightfield` [N, in_channels, H, W], counts: float32 [N, C, H, W], counts >= 0.

        Height and width may be anything. An image is reflected at the right and lower border up to the next multiple of
        `stride`, and cut back. One that is larger than a training patch is stained in parts where the network sees only
        `halo` pixels far, with the result of the whole image. A network that looks at all it is given gets overlapping
        tiles of the size of a patch, which are blended. So a cell's stain depends on nothing that lies farther away
        than the halo, or than a tile is long. Smaller batches need less memory and give the same stains (up to float32
        rounding).

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
        batch_size = self._together(batch_size)
        if max(height, width) > self.image_size:
            whole = slice(0, height), slice(0, width)
            if count == 1:  # without a copy: it may be large
                return self._stain_large(brightfield[0], whole, batch_size)[None]
            for stained, image in zip(stains, brightfield, strict=True):
                stained[:] = self._stain_large(image, whole, batch_size)
            return stains
        for start in range(0, count, batch_size):
            part = slice(start, start + batch_size)
            stains[part] = self._stain_at_once(brightfield[part])
        return stains

    def stain_inside(
        self, brightfield: npt.NDArray[np.generic], inside: tuple[slice, slice], batch_size: int = 8
    ) -> npt.NDArray[np.float32]:
        """Stain the rows and columns `inside` of one image [in_channels, H, W]: as by :meth:`stain`, [C, h, w].

        What a network with a halo need not see for that is not worked on.
        """
        if max(brightfield.shape[1:]) > self.image_size:
            return self._stain_large(brightfield, inside, self._together(batch_size))
        stains: npt.NDArray[np.float32] = self.stain(brightfield[None])[0]
        return stains[:, inside[0], inside[1]]

    def _together(self, batch_size: int) -> int:
        """Give how many images may be stained together: batch statistics of others must not leak into one."""
        return 1 if any(network.training for network in self._generators) else batch_size

    def _stain_large(
        self, counts: npt.NDArray[np.generic], inside: tuple[slice, slice], batch_size: int
    ) -> npt.NDArray[np.float32]:
        channels = len(self.stains)
        image = counts.astype(np.float32, copy=False)
        if self.halo is not None:
            return stain_with_halo(image, inside, PART, self.reach, self._stain_into, channels)
        tile = (min(image.shape[1], self.image_size), min(image.shape[2], self.image_size))
        stains = stain_in_tiles(image, tile, self._stain_at_once, channels, batch_size)
        return stains[:, inside[0], inside[1]]

    def _stain_into(
        self, image: npt.NDArray[np.float32], inside: tuple[slice, slice], out: npt.NDArray[np.float32]
    ) -> None:
        """Stain `image` [planes, H, W] at once, and write what is `inside` into `out` [C, h, w]."""
        self._write(image[None], inside, out[None])

    def _stain_at_once(self, brightfield: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Stain `brightfield` [N, planes, H, W] in one pass of the networks."""
        count, _, height, width = brightfield.shape
        stains = np.empty((count, len(self.stains), height, width), dtype=np.float32)
        self._write(brightfield, (slice(height), slice(width)), stains)
        return stains

    def _write(
        self, brightfield: npt.NDArray[np.generic], inside: tuple[slice, slice], out: npt.NDArray[np.float32]
    ) -> None:
        """Stain `brightfield` [N, planes, H, W] in one pass, and write what is `inside` into `out` [N, C, h, w]."""
        device = next(self._generators[0].parameters()).device
        with torch.inference_mode():
            batch = torch.from_numpy(self._input(brightfield)).to(device)
            for network, channels in zip(self._generators, self._channels, strict=True):
                output = network(batch)[..., inside[0], inside[1]].float().cpu()
                for place, stain in enumerate(channels):
                    self.normalisation.write_counts(output[:, place], stain, out[:, stain])

    def _input(self, brightfield: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Give what the networks are given: `brightfield`, reflected at its end up to the next multiple of `stride`."""
        height, width = brightfield.shape[2:]
        rows, columns = (_reflected(length, self.stride) for length in (height, width))
        images = np.empty((*brightfield.shape[:2], height + len(rows), width + len(columns)), dtype=np.float32)
        self.normalisation.brightfield_to_input(brightfield, images[..., :height, :width])
        images[..., :height, width:] = images[..., :height, columns]
        images[..., height:, :] = images[..., rows, :]
        return images


def _reflected(length: int, multiple: int) -> npt.NDArray[np.intp]:
    """Say which pixels of an axis lie beyond its end, in a mirror, up to the next `multiple`."""
    return np.pad(np.arange(length), (0, -length % multiple), mode="reflect")[length:]
