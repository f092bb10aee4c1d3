"""A few cells to look at, chosen by a rule and not by taste: the best, the median, the worst, and one abstained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from vsframework.atomic import atomic_path
from vsframework.dataset.planes import middle_plane
from vsframework.errors import UsageError
from vsframework.evaluation.results import FOLDER

if TYPE_CHECKING:
    from vsframework.dataset.store import PatchDataset
    from vsframework.evaluation.measuring import Stains


@dataclass(frozen=True, kw_only=True)
class Example:
    """One cell and the rule that chose it; its images in counts: middle brightfield plane [Y, X], stains [C, Y, X]."""

    rule: str
    cell: str
    brightfield: npt.NDArray[np.float32]
    true: npt.NDArray[np.float32]
    virtual: npt.NDArray[np.float32]


def choose_examples(cells: pd.DataFrame, quantity: str) -> dict[str, int]:
    """Choose among `cells`, never by hand: rule to patch number.

    By absolute error of `quantity`: ``best`` has the smallest, ``worst`` the largest, ``median`` the (lower) middle
    one; with one or two cells fewer rules apply. Cells without a virtual value count as worse than all others. Where
    the cells were judged these are cells that were answered, and ``abstained`` is the one farthest outside the gates.
    """
    answered = cells[cells["answered"].astype(bool)] if "answered" in cells else cells
    error = (answered[f"virtual_{quantity}"] - answered[f"true_{quantity}"]).abs().to_numpy(float)
    order = np.argsort(np.where(np.isfinite(error), error, np.inf), kind="stable")
    ranks = {"best": 0, "median": (len(order) - 1) // 2, "worst": len(order) - 1} if len(order) else {}
    chosen: dict[str, int] = {}
    for rule in ("best", "worst", "median"):
        if rule in ranks:
            patch = int(answered["patch"].iloc[order[ranks[rule]]])
            if patch not in chosen.values():
                chosen[rule] = patch
    found = {rule: chosen[rule] for rule in ranks if rule in chosen}
    if len(answered) < len(cells):
        abstained = cells[~cells["answered"].astype(bool)]
        outside = abstained.filter(regex="^gate_").max(axis=1).to_numpy(float)
        found["abstained"] = int(abstained["patch"].iloc[int(np.argmax(np.nan_to_num(outside)))])
    return found


def write_examples(run: Path, dataset: PatchDataset, stainers: Mapping[int, Stains], chosen: Mapping[str, int]) -> None:
    """Stain the `chosen` patches (rule to patch number) once more, each with its own of `stainers`, and keep them.

    They are in ``examples.npz``: plain arrays, nothing pickled.
    """
    assert dataset.denoised is not None
    ids = dataset.accepted().set_index("patch")["id"]
    patches = list(chosen.values())
    brightfield = np.concatenate([np.asarray(dataset.brightfield[row : row + 1]) for row in patches])
    true = np.concatenate([np.asarray(dataset.denoised[row : row + 1]) for row in patches])
    virtual = np.concatenate([stainers[row].stain(brightfield[[index]]) for index, row in enumerate(patches)])
    with atomic_path(run / FOLDER / "examples.npz") as path:
        np.savez_compressed(
            path,
            rule=np.array(list(chosen)),
            cell=np.array([str(ids[row]) for row in patches]),
            brightfield=brightfield[:, middle_plane(brightfield.shape[1])],
            true=true,
            virtual=virtual,
        )


def read_examples(run: Path) -> list[Example]:
    """Read the examples of an evaluated run.

    Raises
    ------
    UsageError
        When the run has not been evaluated.
    """
    try:
        with np.load(run / FOLDER / "examples.npz", allow_pickle=False) as arrays:
            kept = {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise UsageError(f"{run} has not been evaluated yet; run 'vsf evaluate {run}' first") from None
    return [
        Example(
            rule=str(kept["rule"][index]),
            cell=str(kept["cell"][index]),
            brightfield=kept["brightfield"][index],
            true=kept["true"][index],
            virtual=kept["virtual"][index],
        )
        for index in range(len(kept["rule"]))
    ]
