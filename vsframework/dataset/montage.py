"""A picture of a dataset: what was cut, and what was rejected."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from vsframework.atomic import atomic_path
from vsframework.dataset.planes import middle_plane
from vsframework.dataset.store import PatchDataset

TILE = 128
MARGIN = 4
CAPTION = 16
STAIN_COLOURS = ((80, 220, 80), (60, 60, 240), (230, 160, 60), (60, 210, 230))
"""Of the stains in order, blue-green-red: dsDNA green, ssDNA red."""


def write_montage(dataset: PatchDataset, path: Path, count: int = 24, seed: int = 0) -> Path:
    """Write a PNG with `count` accepted cells, drawn evenly over donors: brightfield, stains, and measured value.

    Of several brightfield planes the middle one is shown. Each stain is shown linearly from 0 to the brightest count
    of the cells in the picture.
    """
    cells = _choose(dataset, count, seed)
    scales = _stain_scales(dataset, cells)
    strips = [_strip(dataset, cell, scales) for _, cell in cells.iterrows()]
    columns = max(1, round(np.sqrt(len(strips) * strips[0].shape[0] / strips[0].shape[1] * 1.6)))
    blank = np.full_like(strips[0], 24)
    rows = [strips[start : start + columns] for start in range(0, len(strips), columns)]
    rows[-1] += [blank] * (columns - len(rows[-1]))
    picture = np.vstack([np.hstack(row) for row in rows])
    done, encoded = cv2.imencode(".png", picture)
    if not done:
        raise RuntimeError("OpenCV could not encode the montage as PNG")
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return path


def _choose(dataset: PatchDataset, count: int, seed: int) -> pd.DataFrame:
    """Draw cells donor by donor, so that every donor is seen."""
    shuffled = dataset.accepted().sample(frac=1, random_state=seed)
    turn = shuffled.groupby("donor").cumcount()
    order = np.lexsort((shuffled["donor"].to_numpy(), turn.to_numpy()))
    return shuffled.iloc[order[:count]].sort_values(["donor", "id"])


def _stain_scales(dataset: PatchDataset, cells: pd.DataFrame) -> list[float]:
    stains = dataset.denoised
    if stains is None:
        return []
    brightest = np.stack([np.asarray(stains[int(row)]).max(axis=(1, 2)) for row in cells["patch"]]).max(axis=0)
    return [max(float(value), 1.0) for value in brightest]


def _strip(dataset: PatchDataset, cell: pd.Series, scales: list[float]) -> npt.NDArray[np.uint8]:
    """Draw one cell: its panels side by side, its name and value below."""
    row = int(cell["patch"])
    grey = np.asarray(dataset.brightfield[row, middle_plane(len(dataset.planes))])
    low, high = float(grey.min()), float(grey.max())
    panels = [cv2.cvtColor(_panel((grey - low) / max(high - low, 1.0)), cv2.COLOR_GRAY2BGR)]
    if dataset.denoised is not None:
        for number, (stain, scale) in enumerate(zip(np.asarray(dataset.denoised[row]), scales, strict=True)):
            colour = np.array(STAIN_COLOURS[number % len(STAIN_COLOURS)]) / 255
            panels.append((_panel(stain / scale)[..., None] * colour).astype(np.uint8))
    strip = np.full((TILE + CAPTION + MARGIN, len(panels) * TILE + MARGIN, 3), 24, dtype=np.uint8)
    strip[MARGIN // 2 : MARGIN // 2 + TILE, MARGIN // 2 : MARGIN // 2 + len(panels) * TILE] = np.hstack(panels)
    main = dataset.quantities[0].name
    text = f"{cell['id']}  {main} {float(cell[main]):.4g}"
    cv2.putText(
        strip, text, (MARGIN, TILE + CAPTION - 2), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (220, 220, 220), 1, cv2.LINE_AA
    )
    return strip


def _panel(relative: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    scaled = np.clip(relative * 255, 0, 255).astype(np.uint8)
    method = cv2.INTER_AREA if scaled.shape[0] > TILE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(scaled, (TILE, TILE), interpolation=method), dtype=np.uint8)
