"""Small brightfield-like pictures, told apart by their counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

Picture = Callable[..., np.ndarray]


@pytest.fixture
def picture() -> Picture:
    def draw(index: int, dtype: type = np.uint8, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
        top = np.iinfo(dtype).max
        ramp = np.linspace(0.2 * top, 0.9 * top, shape[0] * shape[1]).reshape(shape).astype(dtype)
        ramp[0, 0] = index
        return ramp

    return draw


@pytest.fixture
def write(picture: Picture) -> Callable[..., Path]:
    def written(path: Path, index: int = 0, **shape: object) -> Path:
        done, data = cv2.imencode(path.suffix, picture(index, **shape))
        assert done
        path.write_bytes(data.tobytes())
        return path

    return written
