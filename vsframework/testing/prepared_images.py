"""The images that the contracts show to a component: seeded, small, and without anything of a real microscope."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FULL_SCALE = {"uint8": 255.0, "uint16": 4095.0, "float32": 4095.0}
"""The camera dtypes that every component accepts, and the count that white stands for (12 bit in 16)."""


def texture(height: int, width: int, seed: int) -> npt.NDArray[np.float64]:
    """Give a random texture [height, width] in [0, 1] with structure from 3 to 20 pixels, the same for one `seed`."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(3, height, width))
    layers = [gaussian_filter(layer, sigma, mode="wrap") for layer, sigma in zip(noise, (1.2, 2.5, 6.0), strict=True)]
    image = sum(layer / layer.std() for layer in layers)
    low, high = np.percentile(image, (1, 99))
    result: npt.NDArray[np.float64] = np.clip((image - low) / (high - low), 0, 1)
    return result


def as_camera(image: npt.NDArray[np.floating], dtype: str) -> npt.NDArray[np.generic]:
    """Turn `image` in [0, 1] into the counts of a camera with this dtype."""
    counts: npt.NDArray[np.generic] = np.rint(image * FULL_SCALE[dtype]).astype(dtype)
    return counts


def stained_patch(channels: int, size: int, seed: int, background: float = 6.0) -> npt.NDArray[np.float64]:
    """Give fluorescence [channels, size, size] in counts: one bright head on a noisy background of `background`."""
    rng = np.random.default_rng(seed)
    head = head_mask(size)
    levels = background + np.arange(channels)[:, None, None]
    noise = rng.integers(-1, 2, size=(channels, size, size))
    return np.maximum(levels + noise + 120.0 * head, 0.0)


def head_mask(size: int) -> npt.NDArray[np.bool_]:
    """Say which pixels of a patch [size, size] are the head of `stained_patch`."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    mask: npt.NDArray[np.bool_] = (rows / (0.18 * size)) ** 2 + (columns / (0.28 * size)) ** 2 < 1
    return mask


def brightfield_field(height: int, width: int, seed: int) -> npt.NDArray[np.float64]:
    """Give a brightfield field [height, width] in [0, 1] with six oval heads, dark inside with a bright halo."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width), 0.5) + rng.normal(0, 0.01, (height, width))
    rows, columns = np.mgrid[:height, :width]
    for index in range(6):
        x, y = (index % 3 + 0.5) * width / 3, (index // 3 + 0.5) * height / 2
        angle = rng.uniform(-np.pi, np.pi)
        along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
        across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
        radius = np.hypot(along / 50, across / 32)
        image += 0.2 * ((radius >= 1) & (radius < 1.25)) - 0.3 * (radius < 1)
    return np.clip(image, 0, 1)
