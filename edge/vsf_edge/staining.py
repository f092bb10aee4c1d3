"""Stains image files with a bundle: TIFFs and one table; a bad image does not stop the others."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vsf_edge.atomic import write_bytes
from vsf_edge.bundle import Bundle
from vsf_edge.errors import EdgeError, EdgeUsageError
from vsf_edge.images import read_brightfield, write_stain
from vsf_edge.interfaces import Session
from vsf_edge.manifest import Manifest

TABLE = "cells.csv"


@dataclass(frozen=True, kw_only=True)
class StainedImage:
    """What became of one image: the files and values it gave, or the sentence that says why not."""

    image: Path
    files: tuple[Path, ...] = ()
    quantities: dict[str, float] = field(default_factory=dict)
    problem: str = ""


def stain_images(
    bundle: Bundle, session: Session, images: Sequence[Path], out: Path, dtype: str = "float32"
) -> Iterator[StainedImage]:
    """Stain `images` one after the other and write ``cells.csv`` at the end, also when stopped early.

    The stains of ``a/b.png`` go to ``out/b_STAIN.tif``; where the images lie in several folders, the folders below
    their common one are kept. `dtype` is ``float32`` or ``uint16``.

    Raises
    ------
    EdgeUsageError
        When two images would be written to one file; nothing is done then.
    EdgeError
        When `out` cannot be written.
    """
    targets = _targets(images, out, bundle.manifest)
    return _stain(bundle, session, targets, out, dtype)


def _stain(
    bundle: Bundle, session: Session, targets: dict[Path, list[Path]], out: Path, dtype: str
) -> Iterator[StainedImage]:
    done: list[StainedImage] = []
    try:
        for image, files in targets.items():
            stained = _stain_one(bundle.manifest, session, image, files, dtype)
            done.append(stained)
            yield stained
    finally:
        write_bytes(out / TABLE, _table(done, bundle.manifest))


def _stain_one(manifest: Manifest, session: Session, image: Path, files: list[Path], dtype: str) -> StainedImage:
    try:
        outputs = session.run(read_brightfield(image, manifest)[np.newaxis])
        stains = outputs[manifest.stains_output][0]
        if not np.isfinite(stains).all():
            raise EdgeError(f"{image} gave stains that are not numbers: run 'vsf-edge inspect MODEL --check'")
        for file, stain in zip(files, stains, strict=True):
            write_stain(file, stain, dtype)
    except EdgeError as error:
        return StainedImage(image=image, problem=str(error))
    except Exception as error:  # a runtime is a plugin: whatever it raises must not take the other images down
        text = " ".join(str(error).split())
        return StainedImage(image=image, problem=f"{image} could not be stained: {type(error).__name__}: {text}")
    values = {quantity.name: float(outputs[quantity.output][0]) for quantity in manifest.quantities}
    return StainedImage(image=image, files=tuple(files), quantities=values)


def _targets(images: Sequence[Path], out: Path, manifest: Manifest) -> dict[Path, list[Path]]:
    """Give each image its files, and refuse two images with one file (upper and lower case count as the same)."""
    absolute = {image: Path(os.path.abspath(image)) for image in images}  # noqa: PTH100  (keeps links as named)
    try:
        common = Path(os.path.commonpath([path.parent for path in absolute.values()]))
    except ValueError as error:  # two drives
        raise EdgeUsageError(f"the images lie on different drives: stain them one drive at a time ({error})") from error
    taken: dict[str, Path] = {}
    targets: dict[Path, list[Path]] = {}
    for image, path in absolute.items():
        folder = out / path.parent.relative_to(common)
        targets[image] = [folder / f"{image.stem}_{stain.name}.tif" for stain in manifest.stains]
        for file in targets[image]:
            other = taken.setdefault(str(file).lower(), image)
            if other != image:
                raise EdgeUsageError(f"{other} and {image} would both be written to {file}: rename one of them")
            if str(Path(os.path.abspath(file))).lower() in {str(source).lower() for source in absolute.values()}:  # noqa: PTH100
                raise EdgeUsageError(f"{file} is one of the images and would be overwritten: choose another folder")
    return targets


def _table(done: Sequence[StainedImage], manifest: Manifest) -> bytes:
    """Give the table: one row per image, NaN left empty, the reason where there is no value."""
    names = [quantity.name for quantity in manifest.quantities]
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["image", *names, "problem"])
    for item in done:
        values = [item.quantities.get(name) for name in names]
        cells = ["" if value is None or np.isnan(value) else repr(value) for value in values]
        rows.writerow([str(item.image), *cells, item.problem])
    return text.getvalue().encode("utf-8")
