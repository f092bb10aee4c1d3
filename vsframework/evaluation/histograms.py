"""How often each intensity occurs in the stains: raw, denoised and virtual (paper, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vsframework.atomic import atomic_path
from vsframework.errors import UsageError
from vsframework.evaluation.results import FOLDER

KINDS = ("raw", "true", "virtual")
ALL, HELD_OUT = "histograms.npz", "histograms-held-out.npz"
"""Files of an evaluation: the pixels of all its cells, and of those of held-out donors."""
LEVELS = 65536
"""Bins of one count each; brighter pixels fall into the last."""


class PixelHistograms:
    """Counts pixels by intensity, per stain and kind of image, in bins of one count; zero pixels are not counted.

    Attributes
    ----------
    stains
        Names of the C channels.
    counts
        Kind (``raw``, ``true`` = denoised, ``virtual``) to the number of pixels [C, LEVELS]: column k holds
        intensities in [k, k + 1) counts, those above 0.
    """

    def __init__(self, stains: Sequence[str]) -> None:
        self.stains = tuple(stains)
        self.counts = {kind: np.zeros((len(self.stains), LEVELS), dtype=np.int64) for kind in KINDS}

    def add(self, kind: str, stains: npt.NDArray[np.floating]) -> None:
        """Count the pixels of `stains` [N, C, H, W], counts, >= 0."""
        for channel, total in enumerate(self.counts[kind]):
            pixels = stains[:, channel].ravel()
            bins = np.clip(pixels[pixels > 0], 0, LEVELS - 1).astype(np.int64)
            total += np.bincount(bins, minlength=LEVELS)

    def write(self, run: Path, name: str = ALL) -> None:
        """Keep them as a file of an evaluation."""
        with atomic_path(run / FOLDER / name) as path:
            np.savez_compressed(path, stains=np.array(self.stains), **self.counts)  # type: ignore[arg-type]

    @classmethod
    def read(cls, run: Path, name: str = ALL) -> PixelHistograms:
        """Read the histograms of an evaluated run.

        Raises
        ------
        UsageError
            When the run has not been evaluated.
        """
        try:
            with np.load(run / FOLDER / name, allow_pickle=False) as arrays:
                found = cls([str(name) for name in arrays["stains"]])
                found.counts = {kind: arrays[kind] for kind in KINDS}
        except FileNotFoundError:
            raise UsageError(f"{run} has not been evaluated yet; run 'vsf evaluate {run}' first") from None
        return found
