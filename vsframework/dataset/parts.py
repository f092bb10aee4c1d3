"""The finished fields of a dataset that is being built: one file each, so that no work is done twice after a stop.

A part is a safetensors file, named by the hash of everything it depends on: the experiment, the software, and its
input files. So a part that is there is right, whoever wrote it, and one of another experiment is never taken.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vsframework.atomic import atomic_path
from vsframework.dataset.field import FieldPatches
from vsframework.dataset.layouts import FieldFiles
from vsframework.dataset.pixel_sizes import PixelSizes
from vsframework.dataset.store import ARRAYS, Patch
from vsframework.errors import VsfError
from vsframework.images import files_of

FORMAT = 2
"""Raised when a part of an older version of this code would not be right any more."""


class Parts:
    """The parts of the dataset that is built into `out`, in a hidden folder beside it."""

    def __init__(self, out: Path) -> None:
        self.folder = out.with_name(f".{out.name}-parts")

    def path(self, key: str) -> Path:
        """Give where the part of `key` lies. A folder holds a few thousand of a million of them."""
        return self.folder / key[:2] / f"{key}.part"

    def failed_path(self, key: str) -> Path:
        """Give where the part of a field that failed lies: a build that begins tries it again."""
        return self.path(key).with_suffix(".failed")

    def forget_failures(self) -> None:
        """Remove what failed in an earlier build, so that it is tried again."""
        for path in self.folder.glob("*/*.failed"):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove them all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def there(self, key: str) -> bool:
        """Say whether the field of `key` is finished, or has failed in this build."""
        return self.path(key).exists() or self.failed_path(key).exists()

    def write(self, key: str, part: FieldPatches) -> None:
        """Write a part, whole or not at all.

        Raises
        ------
        VsfError
            When the disk is full or the folder cannot be written.
        """
        cells: list[dict[str, Any]] = []
        patches: list[Patch] = []
        for row, patch in part.cells:
            cells.append({"row": dict(row), "patch": len(patches) if patch else -1})
            patches += [patch] if patch else []
        tensors = {}
        for name in ARRAYS:
            pixels = [getattr(patch, name) for patch in patches]
            if pixels and pixels[0] is not None:
                tensors[name] = np.ascontiguousarray(np.stack(pixels), dtype=np.float32)
        sizes = dataclasses.asdict(part.pixel_sizes)
        header = {"bit_depth": part.bit_depth, "pixel_sizes": sizes, "hashes": part.hashes}
        header |= {"failed": part.failed, "cells": cells}
        with atomic_path(self.failed_path(key) if part.failed else self.path(key)) as temporary:
            save_file(tensors, temporary, {"field": json.dumps(header, default=_plain)})

    def read(self, key: str) -> FieldPatches:
        """Read the part of `key`.

        Raises
        ------
        VsfError
            When it is not there or damaged.
        """
        path = self.path(key) if self.path(key).exists() else self.failed_path(key)
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads(file.metadata()["field"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return FieldPatches(
                cells=[(cell["row"], _patch(arrays, cell["patch"])) for cell in header["cells"]],
                bit_depth=header["bit_depth"],
                pixel_sizes=_pixel_sizes(header["pixel_sizes"]),
                hashes=header["hashes"],
                failed=header["failed"],
            )
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
            raise VsfError(
                f"{path}, a finished field of this build, cannot be read ({error}): delete it and run the same command "
                "again"
            ) from error


def _pixel_sizes(stored: Mapping[str, Any]) -> PixelSizes:
    return PixelSizes(**{**stored, "resampled_from": tuple(stored["resampled_from"])})


def part_key(files: FieldFiles, root: Path, depends_on: Mapping[str, Any]) -> str:
    """Hash everything that a part depends on.

    Parameters
    ----------
    files
        The field. Its files count by name, size and time of change, as for the stages of ``vsf run``.
    depends_on
        What all fields of the build share: experiment and software, as JSON values.
    """
    channels = {"brightfield": files.brightfield, "stains": files.stains, "crops": files.crops}
    inputs = {
        kind: {name: [path.relative_to(root).as_posix(), *file_state(path)] for name, path in paths.items()}
        for kind, paths in channels.items()
    }
    within = {name: asdict(part) for name, part in files.within.items()}
    field = {"name": [files.donor, files.name], "inputs": inputs, "within": within}
    document = {"format": FORMAT, "field": field, "all": depends_on}
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()


def file_state(path: Path) -> list[Any]:
    """Give name, size and time of change of a file, or of every file in a folder; nothing where it has gone."""
    try:
        found = [(item, item.stat()) for item in files_of(path)]
    except OSError:
        return []
    return [[item.name, stat.st_size, stat.st_mtime_ns] for item, stat in found]


def _patch(arrays: Mapping[str, Any], index: int) -> Patch | None:
    return None if index < 0 else Patch(**{name: array[index] for name, array in arrays.items()})


def _plain(value: Any) -> Any:
    """Turn a NumPy scalar into the number it holds."""
    return value.item()
