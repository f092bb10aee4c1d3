"""Measured crops of a few donors, drawn: the darker the cell, the higher its DFI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

QUICK = 'regressor = { name = "small-cnn", epochs = 2, size = 16, width = 4 }\n'


@pytest.fixture
def make_crops(tmp_path: Path) -> Callable[..., Path]:
    """Write an experiment file with its crops, and give its path."""

    def make(donors: Sequence[str] = ("S1", "S2", "S3"), per_donor: int = 6) -> Path:
        random = np.random.default_rng(2)
        rows = [",DFI,bad,good,sample,zimg_name"]
        for index, donor in enumerate(donor for donor in donors for _ in range(per_donor)):
            dfi = round(0.08 + 0.02 * (index % per_donor) + 0.01 * donors.index(donor), 4)
            image = np.clip(150 - 300 * dfi + random.normal(0, 3, (20, 20)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / f"img{index:03d}_{donor}_BF000_DFI_{round(dfi * 1e4)}.png"), image)
            rows.append(f"{index},{dfi},{1000 * dfi},{1000 * (1 - dfi)},{donor},BF000")
        (tmp_path / "DFIs.csv").write_text("\n".join(rows) + "\n")
        file = tmp_path / "crops.toml"
        file.write_text(QUICK + '[data]\nroot = "."\nlayout = "mccallum-crops"\n[patches]\nsize = 16\n')
        return file

    return make
