"""Counts at the border of a graph: to the integers or floats that its input takes, and back from its stains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.errors import EdgeError
from vsf_edge.interfaces import Array
from vsf_edge.manifest import Manifest

LARGEST = {"uint8": 255, "uint16": 65535}


def encode(counts: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Give `counts` [N, C, H, W] as a graph of input `dtype` takes them: float32, uint8, or uint8 [N, C, H, W, 2].

    Counts that have the dtype already are handed on without a copy. Floats are rounded to whole counts.

    Raises
    ------
    EdgeError
        When a count does not fit.
    """
    if dtype == "float32":
        return np.ascontiguousarray(counts, np.float32)
    if counts.dtype != dtype:
        counts = np.rint(counts) if counts.dtype.kind == "f" else counts  # first: resampling gives 255.00002
        low, high = float(counts.min(initial=0)), float(counts.max(initial=0))
        if not (low >= 0 and high <= LARGEST[dtype]):
            raise EdgeError(f"counts from {low:g} to {high:g} do not fit into {dtype}, which the model takes")
    counts = np.ascontiguousarray(counts, "<u2" if dtype == "uint16" else np.uint8)
    return counts.view(np.uint8).reshape(*counts.shape, 2) if dtype == "uint16" else counts


def decode(stains: npt.NDArray[Any], dtype: str) -> Array:
    """Give the graph's `stains` of output `dtype` as float32 [N, S, H, W] in counts."""
    if dtype == "uint16":
        stains = np.ascontiguousarray(stains).view("<u2")[..., 0]
    return np.asarray(stains, np.float32)


def from_graph(outputs: Mapping[str, npt.NDArray[Any]], manifest: Manifest) -> dict[str, Array]:
    """Give the graph's outputs as float32, the stains [N, S, H, W] in counts."""
    dtypes = {manifest.stains_output: manifest.stains_dtype}
    return {name: decode(values, dtypes.get(name, "float32")) for name, values in outputs.items()}


def output_names(manifest: Manifest) -> list[str]:
    """Give the names of the outputs that the edge reads: the stains, then each quantity's."""
    return [manifest.stains_output, *(quantity.output for quantity in manifest.quantities)]


def check_names(manifest: Manifest, inputs: list[str], outputs: list[str], path: object) -> None:
    """Refuse a graph that lacks an input or output that its manifest promises.

    Raises
    ------
    EdgeError
        Names what is missing.
    """
    missing = sorted({*output_names(manifest)} - {*outputs} | {manifest.input_name} - {*inputs})
    if missing:
        raise EdgeError(f"the graph of {path} has no {', '.join(missing)}: export it again")
