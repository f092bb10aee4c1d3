"""Random changes of training patches, by kornia, on the training device.

Geometry moves brightfield and stains alike. Only brightfield changes its brightness; stains are measured, so their
intensities are touched by nothing but interpolation.
"""

from __future__ import annotations

import torch
from torch import nn

from vsframework.config import AugmentationSection

STREAM = 0x5EED
"""Keeps the random numbers of augmentation apart from those of the order of patches."""


class Augmentation:
    """Changes batches as `section` says.

    What is drawn depends on the seed, the epoch and the number of the batch alone, so that a resumed training sees the
    same patches as an uninterrupted one.

    Parameters
    ----------
    section
        What may change, and how far.
    seed
        ``training.seed``.
    size
        Side of a patch in pixels.
    rank
        Number of this process among those that train together.
    """

    def __init__(self, section: AugmentationSection, seed: int, size: int, rank: int = 0) -> None:
        self._section = section
        self._seed = seed
        self._rank = rank
        self._flips = _flips(section)
        self._affine = _Affine(section, size) if section.rotation_deg or section.shift_px else None

    def __call__(
        self, brightfield: torch.Tensor, stains: torch.Tensor, epoch: int, batch: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Change `brightfield` [N, P, H, W] and `stains` [N, C, H, W], both in [-1, 1], of `batch` in `epoch`."""
        if not self._section.active:
            return brightfield, stains
        devices = [brightfield.device] if brightfield.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.manual_seed(_mix(STREAM, self._seed, epoch, batch, self._rank))
            inputs = brightfield.shape[1]
            moved = self._flips(torch.cat([brightfield, stains], dim=1))
            brightfield, stains = moved[:, :inputs], moved[:, inputs:]
            if self._affine is not None:
                brightfield, stains = self._affine(brightfield, stains)
            return self._lighting(brightfield), stains

    def _lighting(self, brightfield: torch.Tensor) -> torch.Tensor:
        """Change contrast, brightness and noise; kornia's own would clip to [0, 1], and brightfield is in [-1, 1]."""
        section, shape = self._section, (len(brightfield), 1, 1, 1)
        if section.contrast:
            mean = brightfield.mean(dim=(1, 2, 3), keepdim=True)
            brightfield = mean + (brightfield - mean) * (1 + section.contrast * _uniform(shape, brightfield))
        if section.brightness:
            brightfield = brightfield + 2 * section.brightness * _uniform(shape, brightfield)
        if section.noise:
            brightfield = brightfield + 2 * section.noise * torch.randn_like(brightfield)
        return brightfield.clamp(-1, 1)  # what a camera gives: no count below 0 or above its range


def _flips(section: AugmentationSection) -> nn.Module:
    """Chain the changes of `section` that move every pixel as it is."""
    chain: list[nn.Module] = []
    if section.flip:
        import kornia.augmentation as kornia  # takes seconds, and only experiments that augment should pay

        chain += [kornia.RandomHorizontalFlip(p=0.5), kornia.RandomVerticalFlip(p=0.5)]
    if section.quarter_turns:
        chain.append(_QuarterTurns())
    return nn.Sequential(*chain)


class _Affine:
    """Rotate and shift, bilinear.

    What comes in at the border is more of the brightfield that is there, and no signal: a mirrored cell would be
    counted with the one that is measured.
    """

    def __init__(self, section: AugmentationSection, size: int) -> None:
        from kornia.augmentation import RandomAffine

        shift = section.shift_px / size
        translate = (shift, shift) if shift else None
        self._brightfield = RandomAffine(section.rotation_deg, translate, padding_mode="border", p=1.0)
        self._stains = RandomAffine(section.rotation_deg, translate, padding_mode="zeros", p=1.0)

    def __call__(self, brightfield: torch.Tensor, stains: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Move both alike."""
        moved = self._brightfield(brightfield)
        # the second call takes what the first one drew; no signal is -1, and kornia fills with 0
        return moved, self._stains(stains + 1, params=self._brightfield._params) - 1


class _QuarterTurns(nn.Module):
    """Rotate each image by a multiple of 90 degrees; kornia's would interpolate."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Take [N, C, H, H] to the same shape."""
        turns = torch.randint(4, (len(images),)).tolist()
        return torch.stack([image.rot90(int(turn), (-2, -1)) for image, turn in zip(images, turns, strict=True)])


def _uniform(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    return torch.rand(shape).to(like) * 2 - 1


def _mix(*numbers: int) -> int:
    """Give one seed for several numbers."""
    seed = 0
    for number in numbers:
        seed = (seed * 6_364_136_223_846_793_005 + number + 1_442_695_040_888_963_407) % 2**63
    return seed
