"""Stain and measure every accepted cell of a dataset, and compare with what was measured under the microscope."""

from __future__ import annotations

import platform
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

import vsframework
from vsframework.config import Experiment
from vsframework.errors import UsageError, VsfError
from vsframework.evaluation.donors import constant_column, quantity_result, require_finite
from vsframework.evaluation.examples import choose_examples, write_examples
from vsframework.evaluation.histograms import HELD_OUT, PixelHistograms
from vsframework.evaluation.leaks import refuse_leaks
from vsframework.evaluation.pixels import pixel_columns, pixel_result
from vsframework.evaluation.regression import predict_directly
from vsframework.evaluation.results import FOLDER, Evaluation
from vsframework.evaluation.trusting import TrustResult, judge_cells, trust_result
from vsframework.interfaces import Quantifier, Quantity
from vsframework.progress import track
from vsframework.trust import Judge

if TYPE_CHECKING:
    from vsframework.dataset.store import PatchDataset

BATCH_SIZE = 16
"""Patches stained at a time; bounds memory and has no influence on the result."""


class Stains(Protocol):
    """What an evaluation needs of a stainer (`vsframework.inference.Stainer` is one)."""

    @property
    def stains(self) -> Sequence[str]:
        """Names of the channels that `stain` gives."""

    @property
    def experiment(self) -> Experiment:
        """What the run was trained with."""

    @property
    def quantifier(self) -> Quantifier:
        """Measures stains."""

    @property
    def info(self) -> Mapping[str, Any]:
        """What the weights say about themselves; ``dataset_hash`` is of the dataset they were trained on."""

    def stain(self, brightfield: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Give the stains [N, C, H, W], counts, of `brightfield` [N, P, H, W], counts."""


def evaluate(dataset: PatchDataset, run: Path, stainer: Stains) -> Evaluation:
    """Stain every accepted patch of every donor, measure true and virtual stains, and write what comes out.

    Writes ``evaluation/cells.csv`` (per cell the quantities of the raw, the denoised = true and the virtual stains,
    both baselines, and how alike the pixels are; for a run with ``trust.json`` also whether it is answered, why not,
    and the intervals), ``donors.csv``, ``summary.json``, ``examples.npz`` and the histograms, each whole or not at all,
    the summary last. The direct regressor is trained here (see `[baseline]`).

    Parameters
    ----------
    dataset
        With fluorescence images of all donors.
    run
        Run folder.
    stainer
        The trained generators with their experiment and quantifier.

    Raises
    ------
    UsageError
        When no donor is held out, the dataset has no cell of one that is, or it is there under another spelling too.
    VsfError
        When the dataset has no fluorescence or other stains, or an accepted cell has no true value.
    """
    started = time.monotonic()
    _require_same_dataset(dataset, stainer)
    held_out = _held_out(dataset, stainer)
    cells, histograms, unseen_histograms = measure_cells(dataset, stainer, held_out)
    quantities = list(stainer.quantifier.quantities)
    add_baselines(cells, dataset, stainer.experiment, quantities, held_out, run)
    judge = Judge.load(run)
    cells = judge_cells(judge, dataset, cells, [quantity.name for quantity in quantities])
    trust = None if judge is None else trust_result(judge, cells, held_out)
    result = summarise(cells, dataset, stainer.experiment, quantities, held_out, started, trust)
    (run / FOLDER / "summary.json").unlink(missing_ok=True)  # from here on nothing of an older evaluation counts
    examples = choose_examples(cells[cells["donor"].isin(held_out)], quantities[0].name)
    write_examples(run, dataset, dict.fromkeys(examples.values(), stainer), examples)
    histograms.write(run)
    unseen_histograms.write(run, HELD_OUT)
    result.write(run, cells)
    return result


def add_baselines(
    cells: pd.DataFrame,
    dataset: PatchDataset,
    experiment: Experiment,
    quantities: Sequence[Quantity],
    held_out: Collection[str],
    run: Path,
) -> None:
    """Add ``constant_*`` for every quantity to `cells`, and ``regressor_*`` for the first one where it is asked for.

    Raises
    ------
    VsfError
        When a true value is missing, or a baseline has nothing to learn from.
    """
    for quantity in quantities:
        require_finite(cells, f"true_{quantity.name}", quantity.name)
        constants = constant_column(cells, quantity.name, held_out)
        cells[f"constant_{quantity.name}"] = [constants[str(donor)] for donor in cells["donor"]]
    if experiment.baseline.regressor:
        first = quantities[0].name
        cells[f"regressor_{first}"] = predict_directly(dataset, cells, f"true_{first}", experiment, run)


def summarise(
    cells: pd.DataFrame,
    dataset: PatchDataset,
    experiment: Experiment,
    quantities: Sequence[Quantity],
    held_out: Collection[str],
    started: float,
    trust: TrustResult | None = None,
) -> Evaluation:
    """Sum up the table of cells; `started` is the monotonic time at which it began."""
    unseen = cells[cells["donor"].isin(held_out)]
    stains = dataset.stains if dataset.denoised is not None else ()
    ranges = _stain_ranges(dataset)
    return Evaluation(
        experiment=experiment.name,
        stains=stains,
        held_out=tuple(sorted(held_out)),
        trained_on=tuple(donor for donor in dataset.donors if donor not in {*held_out, *experiment.split.held_out}),
        simulated=bool(dataset.info.get("simulated", False)),
        dataset_hash=str(dataset.info.get("hash", "")),
        empty_true=int(unseen["true_empty"].sum()) if stains else 0,
        empty_virtual=int(unseen["virtual_empty"].sum()) if stains else 0,
        quantities=tuple(quantity_result(cells, quantity, held_out) for quantity in quantities),
        pixels=tuple(pixel_result(cells, *pair, held_out) for pair in zip(stains, ranges, strict=True)),
        regressor=experiment.regressor.name if experiment.baseline.regressor else "",
        trust=trust,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - started,
        software={
            "vsframework": vsframework.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
    )


def measure_cells(
    dataset: PatchDataset, stainer: Stains, held_out: Collection[str]
) -> tuple[pd.DataFrame, PixelHistograms, PixelHistograms]:
    """Measure every accepted cell, compare its pixels, and count them.

    Returns
    -------
    cells
        In the order of the patches: `id`, `donor`, `field`, `patch`, and for each quantity ``raw_*`` (true stains
        before denoising), ``true_*`` (after) and ``virtual_*``; ``*_empty`` is 1 where the stains hold no signal;
        ``*_pixels_<stain>`` as `vsframework.evaluation.pixels` gives them.
    histograms, unseen
        Of the pixels of all cells, and of those of held-out donors, per stain.
    """
    if dataset.denoised is None or dataset.raw is None:
        raise VsfError(
            f"{dataset.path} has measured values and no fluorescence images, so virtual stains cannot be compared; "
            f"'vsf evaluate {dataset.path}' shows its constant baseline"
        )
    if tuple(stainer.stains) != dataset.stains:
        raise VsfError(
            f"the run gives the stains {', '.join(stainer.stains)} and {dataset.path} has {', '.join(dataset.stains)}; "
            "evaluate it on a dataset with the same stains"
        )
    table = dataset.accepted()[["id", "donor", "field", "patch"]].reset_index(drop=True)
    rows = table["patch"].to_numpy(int)
    ranges = _stain_ranges(dataset)
    histograms, unseen = PixelHistograms(dataset.stains), PixelHistograms(dataset.stains)
    is_unseen = table["donor"].isin(held_out).to_numpy()
    measured: dict[str, list[npt.NDArray[np.float64]]] = {}
    for part, new in track(_parts(rows, is_unseen), "staining", total=-(-len(rows) // BATCH_SIZE)):
        images = {
            "raw": _read(dataset.raw, part),
            "true": _read(dataset.denoised, part),
            "virtual": stainer.stain(_read(dataset.brightfield, part)),
        }
        for kind, stains in images.items():
            histograms.add(kind, stains)
            unseen.add(kind, stains[new])
            values_of = {**stainer.quantifier.measure(stains, dataset.stains), "empty": ~stains.any(axis=(1, 2, 3))}
            for name, values in values_of.items():
                measured.setdefault(f"{kind}_{name}", []).append(np.asarray(values, dtype=np.float64))
        for name, alike in pixel_columns(images["true"], images["virtual"], dataset.stains, ranges).items():
            measured.setdefault(name, []).append(np.asarray(alike, dtype=np.float64))
    columns = {name: np.concatenate(values) for name, values in measured.items()}
    return pd.concat([table, pd.DataFrame(columns)], axis=1), histograms, unseen


def _require_same_dataset(dataset: PatchDataset, stainer: Stains) -> None:
    """Refuse a dataset built again since training: its held-out cells may be others than those kept from training."""
    if stainer.info.get("dataset_hash", dataset.info["hash"]) != dataset.info["hash"]:
        raise VsfError(f"the dataset in {dataset.path} has changed since this run was trained on it; train again")


def _held_out(dataset: PatchDataset, stainer: Stains) -> set[str]:
    held_out = set(stainer.experiment.split.test_donors)
    if not held_out:
        raise UsageError(
            "this run holds no donor out, so nothing can be said about a new donor; "
            "set [split] test_donors in the experiment file and train again"
        )
    dataset.accepted(donors=held_out)  # says which donor is missing
    without = held_out - set(dataset.donors)
    if without:
        raise VsfError(f"every cell of the held-out donor {', '.join(sorted(without))} was rejected, see cells.csv")
    refuse_leaks(held_out, dataset.donors)
    return held_out


def _stain_ranges(dataset: PatchDataset) -> list[float]:
    """Give the brightest true pixel of each stain over the accepted cells, counts; none without fluorescence."""
    if dataset.denoised is None:
        return []
    brightest = np.ones(len(dataset.stains))
    for start in range(0, dataset.denoised.shape[0], 4 * BATCH_SIZE):
        block = np.asarray(dataset.denoised[start : start + 4 * BATCH_SIZE])
        brightest = np.maximum(brightest, block.max(axis=(0, 2, 3)))
    return [float(value) for value in brightest]


def _parts(
    rows: npt.NDArray[np.int_], marks: npt.NDArray[np.bool_]
) -> Iterator[tuple[npt.NDArray[np.int_], npt.NDArray[np.bool_]]]:
    for start in range(0, len(rows), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        yield rows[part], marks[part]


def _read(array: zarr.Array[Any], rows: npt.NDArray[np.int_]) -> npt.NDArray[np.float32]:
    """Read patches; the accepted rows follow each other, which is the fast way to read."""
    block: npt.NDArray[np.float32] = np.asarray(array[int(rows[0]) : int(rows[-1]) + 1], dtype=np.float32)
    chosen: npt.NDArray[np.float32] = block[rows - rows[0]]
    return chosen
