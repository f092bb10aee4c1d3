"""Brightfield crops with measured values and no fluorescence images: the layout of McCallum et al. 2019.

Their files are ``img{idx}_{donor}_BF{field}_DFI_{DFI * 1e4}.jpg`` beside a table with the columns idx (unnamed), DFI,
bad (red sum), good (green sum), sample (donor) and zimg_name (field). Rows are joined on idx: a listing by name puts
img1000 before img101 and would mislabel nearly every cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vsframework.config import DataSection, Experiment
from vsframework.dataset.cells import single_plane
from vsframework.dataset.geometry import resize
from vsframework.dataset.store import Patch, PatchDataset, PatchWriter
from vsframework.errors import UsageError, VsfError
from vsframework.images import Image, read_image
from vsframework.interfaces import Quantity
from vsframework.progress import track

FILE_NAME = re.compile(
    r"img(?P<idx>\d+)_(?P<donor>[^_]+)_BF(?P<field>\d+)_DFI_(?P<dfi>\d+)\.(jpg|jpeg|png|tiff?)", re.I
)
COLUMNS = {"DFI": "dfi", "good": "dsDNA_sum", "bad": "ssDNA_sum"}
QUANTITIES = (
    Quantity(name="dfi", unit="1", description="DNA fragmentation index, measured by the original study"),
    Quantity(name="dsDNA_sum", unit="counts", description="integrated green intensity, measured by the original study"),
    Quantity(name="ssDNA_sum", unit="counts", description="integrated red intensity, measured by the original study"),
)


def build_measured_crops(experiment: Experiment, folder: Path, out: Path) -> PatchDataset:
    """Build a dataset of brightfield patches with measured values; `folder` is where the experiment file lies.

    Raises
    ------
    UsageError
        When the crops or the table are missing.
    VsfError
        When the table is not of the expected form.
    """
    root = folder / experiment.data.root
    crops = MeasuredCrops(read_labels(labels_path(experiment.data, root)))
    paths = find_crops(root)
    size = experiment.patches.size
    with PatchWriter(
        out, stains=experiment.data.stains, size=size, planes=experiment.data.planes, has_stains=False
    ) as writer:
        for match, path in track(paths, "Building the dataset"):
            row: dict[str, Any] = {
                "id": crop_id(match),
                "donor": match["donor"],
                "field": f"BF{match['field']}",
                "reason": "",
            }
            try:
                measured, image = crops.read(match, path)
                pixels = resize(image.plane(), size)
            except VsfError as error:
                writer.add({**row, "reason": str(error)}, None)
                continue
            writer.add({**row, **measured}, Patch(brightfield=pixels[None]))
        info = {
            "simulated": False,
            "fields": len({match["field"] for match, _ in paths}),
            "experiment": experiment.tables(),
        }
        return writer.finish(info, QUANTITIES, crops.bit_depth)


class MeasuredCrops:
    """Reads crops one after the other, each with its row of `labels`; a cell that came before does not count again.

    Attributes
    ----------
    bit_depth
        Of the crops that could be read, which is one; 0 before the first.
    """

    def __init__(self, labels: pd.DataFrame) -> None:
        self._labels = labels
        self._names: dict[int, str] = {}
        self.bit_depth = 0

    def read(self, match: re.Match[str], path: Path) -> tuple[dict[str, float], Image]:
        """Give the measured values of a crop, whose name is `match`, and its image of one channel.

        Raises
        ------
        VsfError
            When name and table disagree, another crop shows the cell, or the image is not of the kind of the others.
        """
        measured = _measured(match.groupdict(), self._labels)
        image = read_image(path)
        single_plane(image, path.name)
        if self.bit_depth and image.bit_depth != self.bit_depth:
            raise VsfError(f"it has {image.bit_depth} bits, the first crop {self.bit_depth}")
        earlier = self._names.setdefault(int(match["idx"]), path.name)
        if earlier != path.name:
            raise VsfError(f"{earlier} shows the same cell {int(match['idx'])}: keep one of them")
        self.bit_depth = image.bit_depth
        return measured, image


def crop_id(match: re.Match[str]) -> str:
    """Name a cell as the table of a dataset does: ``donor/field/cell``."""
    return f"{match['donor']}/BF{match['field']}/img{match['idx']}"


def find_crops(root: Path) -> list[tuple[re.Match[str], Path]]:
    """List the crops in `root` by idx, each with what its name says.

    Raises
    ------
    UsageError
        When there are none.
    """
    crops = [(match, path) for path in root.glob("*") if (match := FILE_NAME.fullmatch(path.name))]
    if not crops:
        raise UsageError(f"no file in {root} is named like img000_S1_BF000_DFI_1179.jpg (layout mccallum-crops)")
    return sorted(crops, key=lambda pair: (int(pair[0]["idx"]), pair[1].name))


def labels_path(data: DataSection, root: Path) -> Path:
    """Give where the table of measured values lies.

    Raises
    ------
    UsageError
        When it is not there.
    """
    path = root / (data.labels or "DFIs.csv")
    if not path.exists():
        raise UsageError(f"there is no table of measured values {path} (data.labels in the experiment file)")
    return path


def read_labels(path: Path) -> pd.DataFrame:
    """Read the table of measured values, indexed by idx.

    Raises
    ------
    VsfError
        When a column is missing, an idx stands twice, or DFI is not bad / (good + bad).
    """
    try:
        table = pd.read_csv(path, index_col=0)
    except (OSError, ValueError) as error:
        raise VsfError(f"{path} cannot be read as a table: {error}") from error
    missing = {*COLUMNS, "sample", "zimg_name"} - set(table.columns)
    if missing:
        raise VsfError(f"{path} has no column {', '.join(sorted(missing))}")
    try:
        table = table.astype(dict.fromkeys(COLUMNS, float))
    except ValueError as error:
        raise VsfError(f"{path} holds something else than numbers in {', '.join(COLUMNS)}: {error}") from error
    if table.index.has_duplicates:
        raise VsfError(f"{path} has the cell {table.index[table.index.duplicated()][0]} twice")
    wrong = ~np.isclose(table["DFI"], table["bad"] / (table["good"] + table["bad"]), rtol=1e-6)
    if wrong.any():
        raise VsfError(f"{path}: DFI is not bad / (good + bad) for cell {table.index[wrong][0]}")
    return table


def _measured(name: Mapping[str, str], labels: pd.DataFrame) -> dict[str, float]:
    """Look the cell up by idx, and make sure that name and row speak of the same cell."""
    index = int(name["idx"])
    if index not in labels.index:
        raise VsfError(f"cell {index} is not in the table of measured values")
    row: Mapping[Any, Any] = labels.loc[index].to_dict()
    same = (
        row["sample"] == name["donor"]
        and row["zimg_name"] == f"BF{name['field']}"
        and abs(float(row["DFI"]) * 1e4 - int(name["dfi"])) <= 1
    )
    if not same:
        raise VsfError(
            f"file name and table disagree on cell {index}: {row['sample']} {row['zimg_name']} {row['DFI']:.4f}"
        )
    return {quantity: float(row[column]) for column, quantity in COLUMNS.items()}
