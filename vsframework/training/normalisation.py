"""The one recorded normalisation step: camera counts to [-1, 1] and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vsframework.errors import VsfError

if TYPE_CHECKING:
    import torch

Float32Array = npt.NDArray[np.float32]

IN_CACHE = 1 << 16
"""Pixels that are worked on at a time where several steps follow each other: 256 KiB of float32."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """What -1 and +1 stand for; linear in between (paper: [0, 255] to [-1, 1]).

    Attributes
    ----------
    brightfield_full_scale
        The count that maps to +1 at the input; 0 maps to -1.
    stain_full_scale
        Per stain, the count that +1 at the output stands for; -1 is 0 counts.

    Examples
    --------
    >>> import numpy as np
    >>> scale = Normalisation(brightfield_full_scale=255.0, stain_full_scale=(200.0,))
    >>> scale.brightfield_to_input(np.array([0, 255], dtype=np.uint8)).tolist()
    [-1.0, 1.0]
    >>> scale.output_to_counts(np.zeros((1, 1, 1), dtype=np.float32)).item()
    100.0
    """

    brightfield_full_scale: float
    stain_full_scale: tuple[float, ...]

    def brightfield_to_input(self, counts: npt.NDArray[np.generic], out: Float32Array | None = None) -> Float32Array:
        """Turn brightfield counts of any shape into the generator's input, float32; into `out` where there is one."""
        # one copy, changed in place: the patches of a whole training pass here, and large fields
        images: Float32Array = np.multiply(
            counts, np.float32(2 / self.brightfield_full_scale), out=out, dtype=np.float32
        )
        images -= 1
        return images

    def stains_to_target(self, counts: npt.NDArray[np.generic]) -> Float32Array:
        """Turn stains [..., C, H, W], counts, into what the generator should give, float32."""
        images = counts.astype(np.float32)
        images *= 2 / self._per_channel()
        images -= 1
        return images

    def output_to_counts(self, output: Float32Array) -> Float32Array:
        """Turn a generator's output [..., C, H, W] into counts >= 0, float32."""
        counts = np.add(output, 1, dtype=np.float32)
        counts *= self._per_channel() / 2
        return np.maximum(counts, 0, out=counts)

    def write_counts(self, output: torch.Tensor, stain: int, counts: Float32Array) -> None:
        """Do what `output_to_counts` does, for one stain of a large field, without a pass over memory per step.

        Parameters
        ----------
        output
            What a generator gave for it, float32 [N, H, W], on the CPU.
        stain
            Which of the stains it is.
        counts
            Written to, [N, H, W].
        """
        import torch

        target = torch.from_numpy(counts)
        rows = max(1, IN_CACHE // (len(counts) * counts.shape[2]))
        for top in range(0, counts.shape[1], rows):
            band = slice(top, top + rows)
            torch.add(output[:, band], 1, out=target[:, band]).mul_(self.stain_full_scale[stain] / 2).clamp_(min=0)

    def differentiable_counts(self, output: torch.Tensor) -> torch.Tensor:
        """Do what `output_to_counts` does to [..., C, H, W] in torch, on its device and with a gradient."""
        import torch

        stains = output.unbind(dim=-3)
        # plain numbers, not a tensor of scales: nothing is copied to the device at every step
        return torch.stack(
            [(stain + 1) * (scale / 2) for stain, scale in zip(stains, self.stain_full_scale, strict=True)], dim=-3
        ).clamp_min(0)

    def as_json(self) -> dict[str, Any]:
        """Give it as plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Normalisation:
        """Read what `as_json` gave."""
        return cls(
            brightfield_full_scale=float(values["brightfield_full_scale"]),
            stain_full_scale=tuple(float(value) for value in values["stain_full_scale"]),
        )

    def _per_channel(self) -> Float32Array:
        return np.array(self.stain_full_scale, dtype=np.float32)[:, None, None]


def normalisation_of(
    stains: npt.NDArray[np.generic],
    names: Sequence[str],
    bit_depth: int,
    stain_range: Literal["training-max", "bit-depth"],
) -> Normalisation:
    """Choose the normalisation for training stains [N, C, H, W], counts.

    Brightfield is scaled by the camera's full range, stains by it too or by the brightest training count.

    Raises
    ------
    VsfError
        When a stain is 0 everywhere.
    """
    full_scale = float(2**bit_depth - 1)
    brightest = [float(value) for value in stains.max(axis=(0, 2, 3))]
    for name, value in zip(names, brightest, strict=True):
        if value <= 0:
            raise VsfError(f"the stain {name} is empty on every training patch; check the denoiser and the raw images")
    scales = brightest if stain_range == "training-max" else [full_scale] * len(brightest)
    return Normalisation(brightfield_full_scale=full_scale, stain_full_scale=tuple(scales))
