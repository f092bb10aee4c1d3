"""A small convolutional network that learns a quantity from brightfield (after McCallum et al. 2019, much smaller)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vsf_plugins.regressors.small_cnn import SmallCnnParams
from vsframework.errors import VsfError
from vsframework.progress import track

DENSE = 64
"""Units of the dense layer."""
PATCHES_AT_ONCE = 64
"""Shrunk and predicted together; bounds memory and has no influence on the result."""


class SmallCnn:
    """Trains the network on the absolute error, which is what the evaluation reports."""

    def __init__(self, params: SmallCnnParams) -> None:
        self.params = params

    def fit(
        self,
        brightfield: npt.NDArray[np.float32],
        values: npt.NDArray[np.float64],
        donors: Sequence[str],
        seed: int,
    ) -> FittedSmallCnn:
        """Learn `values` [N] from `brightfield` [N, P, H, W]; every cell counts the same, whoever's it is.

        Raises
        ------
        VsfError
            When there are fewer than two cells.
        """
        if len(values) < 2:
            raise VsfError(f"small-cnn cannot learn from {len(values)} cells; it needs 2 or more")
        params, device = self.params, torch.device(self.params.device)
        cuda = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            shrunk = torch.cat(list(_shrunk(brightfield, params.size)))
            offset, scale = _scaling(shrunk, (0, 2, 3))
            patches = ((shrunk - offset) / scale).to(device)
            center, spread = float(np.median(values)), float(np.std(values)) or 1.0
            targets = torch.from_numpy((values - center) / spread).float().to(device)
            network = build_network(patches.shape[1], params).to(device)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time of a step on a CPU
            self._train(network, patches, targets)
        return FittedSmallCnn(network.eval(), params.size, (offset, scale), (center, spread))

    def _train(self, network: nn.Module, patches: Tensor, targets: Tensor) -> None:
        params, count = self.params, len(targets)
        optimiser = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, params.epochs)
        for _ in track(range(params.epochs), "Training the direct regressor"):
            # batches of nearly equal size: batch normalisation cannot learn from a last one that holds a single cell
            for chosen in torch.randperm(count).tensor_split(max(1, count // params.batch_size)):
                batch = patches[chosen]
                if params.mirror:
                    mirrored = (torch.rand(len(chosen)) < 0.5).to(patches.device)
                    batch = torch.where(mirrored[:, None, None, None], batch.flip(2), batch)
                loss = functional.l1_loss(network(batch), targets[chosen])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            schedule.step()


class FittedSmallCnn:
    """The trained network with the scales of its training cells."""

    def __init__(
        self, network: nn.Module, size: int, pixels: tuple[Tensor, Tensor], values: tuple[float, float]
    ) -> None:
        self._network = network
        self._size = size
        self._pixels = pixels
        self._values = values

    def predict(self, brightfield: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Predict the quantity of each of `brightfield` [N, P, H, W]."""
        (offset, scale), (center, spread) = self._pixels, self._values
        device = next(self._network.parameters()).device
        with torch.inference_mode():
            found = [self._network(((part - offset) / scale).to(device)) for part in _shrunk(brightfield, self._size)]
        standard = torch.cat(found).cpu().double().numpy() if found else np.empty(0)
        values: npt.NDArray[np.float64] = center + spread * standard
        return values


def build_network(planes: int, params: SmallCnnParams) -> nn.Module:
    """Build four convolutions, each followed by halving, and two dense layers: [N, P, size, size] to [N].

    The dense layers see where in the patch something is: heads lie alike in every patch.
    """
    widths = [planes, params.width, 2 * params.width, 4 * params.width, 4 * params.width]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    features = widths[-1] * (params.size // 16) ** 2
    head = [nn.Flatten(), nn.Dropout(params.dropout), nn.Linear(features, DENSE), nn.ReLU()]
    return nn.Sequential(*layers, *head, nn.Dropout(params.dropout), nn.Linear(DENSE, 1), nn.Flatten(0))


def _shrunk(brightfield: npt.NDArray[np.float32], size: int) -> Iterator[Tensor]:
    """Bring patches to `size`, some at a time; shrinking averages over what a new pixel covers."""
    for start in range(0, len(brightfield), PATCHES_AT_ONCE):
        part = torch.from_numpy(np.array(brightfield[start : start + PATCHES_AT_ONCE], dtype=np.float32))
        yield functional.interpolate(part, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def _scaling(patches: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and S.D. per plane of the training patches; the S.D. of equal pixels counts as 1."""
    scale, offset = torch.std_mean(patches, dim=axes, keepdim=True, correction=0)
    return offset, torch.where(scale > 0, scale, torch.ones_like(scale))
