"""The dataset on disk: ``patches.zarr``, ``cells.csv``, ``files.csv`` and ``dataset.json`` in one folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr
from zarr.codecs import BloscCodec

from vsframework.dataset.rows import RowSpool
from vsframework.errors import UsageError, VsfError
from vsframework.interfaces import Quantity

SCHEMA_VERSION = 1
ARRAYS = ("brightfield", "raw", "denoised")
ONE_PLANE = ("brightfield",)
PATCHES_PER_SHARD = 64
"""One file of ``patches.zarr`` holds this many patches; the writer buffers no more than that."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """The pixels of one accepted cell, counts, float32: brightfield [P, Y, X]; raw and denoised stains [C, Y, X]."""

    brightfield: npt.NDArray[np.float32]
    raw: npt.NDArray[np.float32] | None = None
    denoised: npt.NDArray[np.float32] | None = None


class PatchDataset:
    """A dataset that ``vsf dataset build`` wrote. Open it with :meth:`open`.

    Attributes
    ----------
    path
        Its folder.
    info
        What ``dataset.json`` holds: provenance, configuration, hashes.
    brightfield, raw, denoised
        Zarr arrays, float32 counts: [N, P, Y, X] for P planes, and [N, C, Y, X] before and after denoising. The latter
        two are None where a dataset has measured values instead of fluorescence images.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path = path
        self.info = info
        group = zarr.open_group(path / "patches.zarr", mode="r")
        arrays: dict[str, zarr.Array[Any] | None] = {}
        for name in ARRAYS:
            array = group.get(name)
            arrays[name] = array if isinstance(array, zarr.Array) else None
        if arrays["brightfield"] is None:
            raise VsfError(f"{path / 'patches.zarr'} holds no brightfield patches; build the dataset again")
        self.brightfield: zarr.Array[Any] = arrays["brightfield"]
        if self.brightfield.shape[1] != len(self.planes):
            raise VsfError(
                f"{path / 'patches.zarr'} holds {self.brightfield.shape[1]} brightfield planes and dataset.json names "
                f"{len(self.planes)}; build the dataset again"
            )
        self.raw = arrays["raw"]
        self.denoised = arrays["denoised"]

    @classmethod
    def open(cls, path: Path) -> PatchDataset:
        """Open the dataset in the folder `path`.

        Raises
        ------
        UsageError
            When there is no dataset.
        VsfError
            When it is of a newer format or damaged.
        """
        try:
            info = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
            if info["schema_version"] > SCHEMA_VERSION:
                raise VsfError(
                    f"{path} was written by a newer vsframework (format {info['schema_version']}, this one reads "
                    f"up to {SCHEMA_VERSION}); upgrade vsframework"
                )
            (path / "cells.csv").stat()
            return cls(path, info)
        except FileNotFoundError as error:
            raise UsageError(
                f"there is no dataset in {path} ({error.filename or error} is missing); run 'vsf dataset build' first"
            ) from error
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell, the rejected ones with their reason; `patch` is the row in the arrays, or -1.

        Read when it is first asked for.

        Raises
        ------
        VsfError
            When the table is damaged.
        """
        texts = {"id": str, "donor": str, "field": str, "reason": str}
        try:
            cells = pd.read_csv(self.path / "cells.csv", dtype=texts, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            raise _damaged(self.path, error) from error
        return cells.fillna(dict.fromkeys(texts, ""))

    @property
    def stains(self) -> tuple[str, ...]:
        """Names of the stain channels, the reference stain first."""
        return tuple(self.info["stains"])

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the brightfield planes; one, unless it was built from a z stack."""
        return tuple(self.info.get("planes", ONE_PLANE))  # datasets of before there were several do not say it

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What was measured on the true stains; a column of `cells` each."""
        return tuple(Quantity(**quantity) for quantity in self.info["quantities"])

    @property
    def size(self) -> int:
        """Side of a patch in pixels."""
        return int(self.info["size"])

    @property
    def bit_depth(self) -> int:
        """Bit depth of the camera."""
        return int(self.info["bit_depth"])

    @property
    def donors(self) -> list[str]:
        """Donors with at least one accepted cell, sorted."""
        return sorted(self.cells.loc[self.cells["accepted"], "donor"].unique())

    def accepted(self, donors: Iterable[str] | None = None, exclude: Iterable[str] | None = None) -> pd.DataFrame:
        """Give the accepted cells of `donors` (default: all) without those of `exclude`, in the order of the patches.

        Raises
        ------
        UsageError
            When a named donor has no cell in this dataset.
        """
        chosen = self.cells["accepted"].astype(bool)
        for names, keep in ((donors, True), (exclude, False)):
            if names is None:
                continue
            wanted = set(names)
            unknown = wanted - set(self.cells["donor"])
            if unknown:
                raise UsageError(
                    f"{self.path} has no cells of donor {', '.join(sorted(unknown))}; it has {', '.join(self.donors)}"
                )
            inside = self.cells["donor"].isin(wanted)
            chosen &= inside if keep else ~inside
        return self.cells[chosen].sort_values("patch")


class PatchWriter:
    """Writes a dataset, cell by cell, into a hidden folder that takes its name only when all is there.

    Memory stays bounded: at most :data:`PATCHES_PER_SHARD` patches are held, and no row. Use it as a context manager;
    after an error the folder `path` is what it was before.

    Parameters
    ----------
    path
        Folder of the dataset; an older dataset there is replaced at the end.
    stains, size
        Names of the stain channels, and side of a patch in pixels.
    planes
        Names of the brightfield planes.
    has_stains
        False for datasets with measured values instead of fluorescence images.
    """

    def __init__(
        self,
        path: Path,
        *,
        stains: Sequence[str],
        size: int,
        planes: Sequence[str] = ONE_PLANE,
        has_stains: bool = True,
    ) -> None:
        self._path = path
        self._building = path.with_name(f".{path.name}-building")
        if path.exists() and any(path.iterdir()) and not (path / "dataset.json").exists():
            raise UsageError(f"{path} is not empty and holds no dataset; choose another folder or empty it")
        shutil.rmtree(self._building, ignore_errors=True)
        try:
            self._building.mkdir(parents=True)
        except OSError as error:
            raise VsfError(f"{path} cannot be written: {error.strerror or error}") from error
        self._stains = tuple(stains)
        self._planes = tuple(planes)
        self._size = size
        channels = {"brightfield": len(self._planes), "raw": len(self._stains), "denoised": len(self._stains)}
        group = zarr.open_group(self._building / "patches.zarr", mode="w", zarr_format=3)
        self._arrays = {
            name: group.create_array(
                name,
                shape=(0, channels[name], size, size),
                chunks=(1, channels[name], size, size),
                shards=(PATCHES_PER_SHARD, channels[name], size, size),
                dtype="float32",
                compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
                dimension_names=("cell", "channel", "y", "x"),
            )
            for name in (ARRAYS if has_stains else ARRAYS[:1])
        }
        self._buffer: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in self._arrays}
        self._count = 0
        self._hash = hashlib.sha256()
        self._cells = RowSpool(self._building / "cells.jsonl")
        self._files = RowSpool(self._building / "files.jsonl")

    def add(self, row: Mapping[str, Any], patch: Patch | None) -> None:
        """Add one cell: its row of the table, and its pixels if it is accepted."""
        number = -1
        if patch is not None:
            for name, buffer in self._buffer.items():
                pixels = getattr(patch, name)
                if pixels is None or pixels.shape != self._arrays[name].shape[1:]:
                    raise ValueError(
                        f"{name} has shape {getattr(pixels, 'shape', None)}, not {self._arrays[name].shape[1:]}"
                    )
                buffer.append(np.ascontiguousarray(pixels, dtype=np.float32))
                self._hash.update(buffer[-1].tobytes())
            number = self._count
            self._count += 1
            if len(self._buffer["brightfield"]) == PATCHES_PER_SHARD:
                self._flush()
        self._cells.add({**row, "accepted": patch is not None, "patch": number})

    def add_files(self, hashes: Mapping[str, str]) -> None:
        """Note the sha256 of the raw files of a field, by their path, for ``files.csv``."""
        for path, sha256 in hashes.items():
            self._files.add({"path": path, "sha256": sha256})

    def finish(self, info: Mapping[str, Any], quantities: Sequence[Quantity], bit_depth: int) -> PatchDataset:
        """Write the table and ``dataset.json``, move the folder to its place, and open it."""
        if not self._count:
            reasons = pd.Series([str(row["reason"]) for row in self._cells.rows()], dtype=str).value_counts()
            most = f"; most often because {reasons.index[0]}" if len(reasons) else ""
            raise VsfError(f"none of the {self._cells.count} cells was accepted{most}")
        self._flush()
        self._cells.write_csv(self._building / "cells.csv", self._hash.update)
        self._files.write_csv(self._building / "files.csv")
        document = {
            "schema_version": SCHEMA_VERSION,
            "hash": self._hash.hexdigest(),
            "planes": list(self._planes),
            "stains": list(self._stains),
            "size": self._size,
            "bit_depth": bit_depth,
            "quantities": [asdict(quantity) for quantity in quantities],
            "cells": self._cells.count,
            "patches": self._count,
            **info,
        }
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (self._building / "dataset.json").write_text(text, encoding="utf-8")
        if self._path.exists():
            shutil.rmtree(self._path)
        self._building.replace(self._path)
        return PatchDataset.open(self._path)

    def _flush(self) -> None:
        for name, buffer in self._buffer.items():
            if buffer:
                self._arrays[name].append(np.stack(buffer))
                buffer.clear()

    def __enter__(self) -> PatchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._cells.close()
        self._files.close()
        shutil.rmtree(self._building, ignore_errors=True)
        return False


def _damaged(path: Path, error: Exception) -> VsfError:
    return VsfError(f"the dataset in {path} is damaged ({error}); build it again")
