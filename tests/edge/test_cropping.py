"""Patches of a live frame are those that the model was trained on."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from vsf_edge.cropping import crop
from vsf_edge.frames import Detection
from vsframework.dataset.geometry import cut, upright_matrix
from vsframework.interfaces import Detection as FieldDetection

HEADS = [
    Detection(x=300.25, y=200.5, angle=0.3, length=100.0, score=1.0),
    Detection(x=9.0, y=4.0, angle=-2.0, length=100.0, score=0.9),  # beyond two borders
    Detection(x=635.5, y=300.0, angle=3.14, length=100.0, score=0.8),
    Detection(x=333.0, y=479.0, angle=1.5, length=100.0, score=0.8),
]


def frame(dtype: str = "uint8") -> np.ndarray:
    """Smooth enough for a two-hundredth of a pixel to be nothing."""
    rows, columns = np.mgrid[:480, :640]
    waves = 120 + 50 * np.sin(columns / 9) * np.cos(rows / 7) + 30 * (columns / 640)
    return (waves * (1 if dtype == "uint8" else 200)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("field_px", "size"), [(150, 256), (150, 150), (150, 128), (301, 64)])
def test_patches_are_those_of_a_dataset(dtype: str, field_px: int, size: int) -> None:
    image = frame(dtype)
    patches = crop(image, HEADS, field_px, size)
    assert patches.shape == (len(HEADS), 1, size, size)
    assert patches.dtype == np.float32
    for patch, head in zip(patches[:, 0], HEADS, strict=True):
        matrix = upright_matrix(FieldDetection(**asdict(head)), field_px)
        expected = cut(image, matrix, (field_px, field_px), size)
        # OpenCV reads between pixels in steps of 1/32
        np.testing.assert_allclose(patch, expected, atol=float(np.ptp(image)) * 0.01)
        assert np.abs(patch - expected).mean() < np.ptp(image) * 0.001


def test_the_tip_points_to_the_right() -> None:
    image = np.zeros((200, 200), np.uint8)
    image[100:140, 95:106] = 200  # the tip is below the middle
    (patch,) = crop(image, [Detection(x=100, y=100, angle=np.pi / 2, length=80, score=1)], 100, 100)[:, 0]
    assert patch[45:55, 60:85].mean() > 190
    assert patch[:, :45].max() == 0


def test_no_heads_give_no_patches() -> None:
    assert crop(frame(), [], 150, 64).shape == (0, 1, 64, 64)
