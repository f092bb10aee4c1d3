"""Stains image files with a bundle: TIFFs and one table; a bad image does not stop the others.

What is done already is not done again (`vsf_edge.run_record`), so that a stopped run goes on where it was.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vsf_edge.atomic import write_bytes
from vsf_edge.bundle import Bundle
from vsf_edge.errors import EdgeError, EdgeUsageError, brief
from vsf_edge.images import write_ome, write_stain
from vsf_edge.interfaces import Array, Session
from vsf_edge.judging import Judge, Judgement
from vsf_edge.magnification import Kind, OtherPixelSize, Prepared, prepare
from vsf_edge.manifest import Manifest
from vsf_edge.run_record import Done, RunRecord, state_of

TABLE = "cells.csv"
FORMATS = ("tiff", "ome-tiff")
SAVED_EVERY_S = 5.0
"""How often the table and the record are written while a run goes on."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How images are taken and stains written.

    Attributes
    ----------
    dtype
        Of the stains: ``float32`` or ``uint16`` counts.
    format
        ``tiff``: a file per stain. ``ome-tiff``: a file per image, with the brightfield.
    kind
        ``cell``: a square crop of one cell, resized to the patch of training. ``field``: taken as it is.
    other_pixel_size
        Whether an image of other pixels than those of training is refused or resampled.
    pixel_size_um
        Of the images, in the place of what they say; None for that.
    """

    dtype: str = "float32"
    format: str = "tiff"
    kind: Kind = "cell"
    other_pixel_size: OtherPixelSize = "refuse"
    pixel_size_um: float | None = None


@dataclass(frozen=True, kw_only=True)
class StainedImage:
    """What became of one image: the files and values it gave, or the sentence that says why not.

    `abstained` says why a judge withholds the quantities, which are NaN then; `judged` holds its further columns.
    `note` says at which magnification it was stained, and `skipped` that it was done before.
    """

    image: Path
    files: tuple[Path, ...] = ()
    quantities: dict[str, float] = field(default_factory=dict)
    abstained: str = ""
    judged: dict[str, float] = field(default_factory=dict)
    note: str = ""
    skipped: bool = False
    problem: str = ""


def stain_images(
    bundle: Bundle,
    session: Session,
    images: Sequence[Path],
    out: Path,
    style: Style = Style(),
    batch: int = 1,
    judge: Judge | None = None,
    record: RunRecord | None = None,
) -> Iterator[StainedImage]:
    """Stain `images` in their order and write ``cells.csv``, also when stopped early.

    The stains of ``a/b.png`` go to ``out/b_STAIN.tif`` (or ``out/b.ome.tif``); where the images lie in several folders,
    the folders below their common one are kept. Up to `batch` images of one size are stained at once. Images that
    `record` knows as done are skipped, and their values stand in the table again.

    Raises
    ------
    EdgeUsageError
        When two images would be written to one file; nothing is done then.
    EdgeError
        When `out` cannot be written.
    """
    targets = _targets(images, out, bundle.manifest, style)
    batch = max(1, min(batch, bundle.manifest.max_batch or batch))
    return _Staining(bundle.manifest, session, out, style, judge, record).go(targets, batch)


@dataclass(frozen=True)
class _Waiting:
    """An image that is read, and the state of its file before."""

    image: Path
    prepared: Prepared
    state: list[int]


class _Staining:
    """One run over all images."""

    def __init__(
        self,
        manifest: Manifest,
        session: Session,
        out: Path,
        style: Style,
        judge: Judge | None,
        record: RunRecord | None,
    ) -> None:
        self._manifest = manifest
        self._session = session
        self._out = out
        self._style = style
        self._judge = judge
        self._record = record
        self._done: list[StainedImage] = []
        self._saved = time.monotonic()

    def go(self, targets: dict[Path, list[Path]], batch: int) -> Iterator[StainedImage]:
        waiting: list[_Waiting] = []
        try:
            for image, files in targets.items():
                known = self._record.done(image, files) if self._record else None
                if known is not None:
                    yield from self._stain(waiting, targets)
                    waiting = []
                    yield self._note(self._skipped(image, files, known))
                    continue
                state = state_of(image)
                try:
                    style = self._style
                    prepared = prepare(image, self._manifest, style.kind, style.other_pixel_size, style.pixel_size_um)
                except EdgeError as error:
                    yield from self._stain(waiting, targets)
                    waiting = []
                    yield self._note(StainedImage(image=image, problem=str(error)))
                    continue
                if waiting and waiting[0].prepared.model_input.shape != prepared.model_input.shape:
                    yield from self._stain(waiting, targets)
                    waiting = []
                waiting.append(_Waiting(image, prepared, state))
                if len(waiting) == batch:
                    yield from self._stain(waiting, targets)
                    waiting = []
            yield from self._stain(waiting, targets)
        finally:
            self._save()

    def _stain(self, waiting: list[_Waiting], targets: dict[Path, list[Path]]) -> Iterator[StainedImage]:
        """Stain the `waiting` images at once; one by one where that fails, so that one cannot spoil the others."""
        if not waiting:
            return
        try:
            outputs = self._session.run(np.stack([item.prepared.model_input for item in waiting]))
        except Exception as error:  # a runtime is a plugin: whatever it raises must not take the other images down
            if len(waiting) > 1:
                for one in waiting:
                    yield from self._stain([one], targets)
                return
            image = waiting[0].image
            text = str(error) if isinstance(error, EdgeError) else f"{type(error).__name__}: {brief(error)}"
            yield self._note(StainedImage(image=image, problem=f"{image} could not be stained: {text}"))
            return
        for index, item in enumerate(waiting):
            one_output = {name: values[index] for name, values in outputs.items()}
            stained = self._finish(item, targets[item.image], one_output)
            if self._record and not stained.problem:
                values = {**stained.quantities, **stained.judged}
                self._record.add(item.image, item.state, targets[item.image], values, stained.abstained, stained.note)
            yield self._note(stained)

    def _finish(self, item: _Waiting, files: list[Path], outputs: Mapping[str, Array]) -> StainedImage:
        manifest, image, prepared = self._manifest, item.image, item.prepared
        try:
            stains = outputs[manifest.stains_output]
            if not np.isfinite(stains).all():
                raise EdgeError(f"{image} gave stains that are not numbers: run 'vsf-edge inspect MODEL --check'")
            values = {quantity.name: float(outputs[quantity.output]) for quantity in manifest.quantities}
            judged = self._judge(prepared.brightfield, values) if self._judge else Judgement()
            if prepared.scaled is not None and values:
                judged = Judgement(abstained="a field was resampled: its sums are not those of its pixels")
            if judged.abstained:
                values = dict.fromkeys(values, np.nan)
            stains = prepared.at_its_size(stains)
            if self._style.format == "ome-tiff":
                write_ome(
                    files[0],
                    prepared.brightfield,
                    stains,
                    manifest,
                    self._style.dtype,
                    prepared.pixel_size_um,
                    prepared.note,
                )
            else:
                for file, stain in zip(files, stains, strict=True):
                    write_stain(file, stain, self._style.dtype)
        except EdgeError as error:
            return StainedImage(image=image, problem=str(error))
        return StainedImage(
            image=image,
            files=tuple(files),
            quantities=values,
            abstained=judged.abstained,
            judged=dict(judged.columns),
            note=prepared.note,
        )

    def _skipped(self, image: Path, files: list[Path], known: Done) -> StainedImage:
        names = {quantity.name for quantity in self._manifest.quantities}
        return StainedImage(
            image=image,
            files=tuple(files),
            quantities={name: value for name, value in known.values.items() if name in names},
            abstained=known.abstained,
            judged={name: value for name, value in known.values.items() if name not in names},
            note=known.note,
            skipped=True,
        )

    def _note(self, stained: StainedImage) -> StainedImage:
        self._done.append(stained)
        if time.monotonic() - self._saved > SAVED_EVERY_S:
            self._save()
        return stained

    def _save(self) -> None:
        write_bytes(self._out / TABLE, _table(self._done, self._manifest))
        if self._record:
            self._record.write()
        self._saved = time.monotonic()


def _targets(images: Sequence[Path], out: Path, manifest: Manifest, style: Style) -> dict[Path, list[Path]]:
    """Give each image its files, and refuse two images with one file (upper and lower case count as the same)."""
    absolute = {image: Path(os.path.abspath(image)) for image in images}  # noqa: PTH100  (keeps links as named)
    try:
        common = Path(os.path.commonpath([path.parent for path in absolute.values()]))
    except ValueError as error:  # two drives
        raise EdgeUsageError(f"the images lie on different drives: stain them one drive at a time ({error})") from error
    endings = [".ome.tif"] if style.format == "ome-tiff" else [f"_{stain.name}.tif" for stain in manifest.stains]
    taken: dict[str, Path] = {}
    targets: dict[Path, list[Path]] = {}
    for image, path in absolute.items():
        folder = out / path.parent.relative_to(common)
        targets[image] = [folder / f"{image.stem}{ending}" for ending in endings]
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
    names += sorted({name for item in done for name in item.judged})
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["image", *names, "abstained", "problem", "magnification"])
    for item in done:
        values = {**item.quantities, **item.judged}
        numbers = (_cell(values.get(name)) for name in names)
        rows.writerow([str(item.image), *numbers, item.abstained, item.problem, item.note])
    return text.getvalue().encode("utf-8")


def _cell(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else repr(value)
